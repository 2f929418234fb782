// Lets somebody from outside ask a running process what its ranks are doing, without disturbing it:
// an abstract UNIX socket, @paceline.PID, served by the service thread. `paceline status` asks
// there.
//
// Who connects (the same user, or root; the kernel says who it is) sends one byte: 'b' for what
// this rank does, in each of its communicators, or 'a' for what all ranks do, which makes the
// service threads ask each other (bootstrap::Topic::status). What comes back is one JSON document,
// and the end of the stream.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/service_thread.h"
#include "base/unique_fd.h"

namespace paceline {

class CommunicatorCore;

/// The abstract socket of a process is called this and its number.
inline constexpr char kDoorPrefix[] = "paceline.";
std::string door_name(pid_t pid);

class StatusDoor : public std::enable_shared_from_this<StatusDoor> {
 public:
  /// The one of this process: opened by its first communicator, closed with the last. Null if the
  /// system refuses the socket; the library works without.
  static std::shared_ptr<StatusDoor> of_this_process();
  ~StatusDoor();

  /// Any thread.
  void add(const std::shared_ptr<CommunicatorCore>& core);

 private:
  struct Visitor {
    UniqueFd socket;
    bool asked = false;
    std::size_t waiting = 0;  ///< communicators that have not answered yet
    std::map<std::uint64_t, std::string> answers = {};
    std::string reply = {};
    std::size_t sent = 0;
  };

  explicit StatusDoor(UniqueFd listener);
  void begin();
  void let_in();
  void on_ready(const std::shared_ptr<Visitor>& visitor);
  void ask(const std::shared_ptr<Visitor>& visitor, bool all_ranks);
  void reply(const std::shared_ptr<Visitor>& visitor);
  void write(const std::shared_ptr<Visitor>& visitor);
  void dismiss(const std::shared_ptr<Visitor>& visitor);

  UniqueFd listener_;
  std::vector<std::shared_ptr<Visitor>> visitors_;
  std::vector<std::weak_ptr<CommunicatorCore>> cores_;
  ServiceClient service_;  // last: detached before the rest goes
};

}  // namespace paceline
