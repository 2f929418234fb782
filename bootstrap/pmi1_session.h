// This process's one conversation with a launcher that speaks PMI-1: over a socket that it
// inherited or over a connection that it makes.
#pragma once

#include <sys/types.h>

#include <mutex>
#include <optional>

#include "base/launcher_channel.h"
#include "base/unique_fd.h"
#include "bootstrap/pmi1_channel.h"
#include "paceline/config.h"

namespace paceline::bootstrap {

/// The launcher listens to one voice only: once the program has called MPI_Init, the channel is
/// MPI's, and every call throws Error (unsupported) that says what to do instead. When the process
/// ends, it says good-bye, unless MPI has come to do that.
class Pmi1Session {
 public:
  static Pmi1Session& of_process();
  Pmi1Session(const Pmi1Session&) = delete;
  Pmi1Session& operator=(const Pmi1Session&) = delete;

  /// The conversation, begun if need be; rank and size of `config` must be what the launcher says.
  Pmi1Channel& begin(const LauncherChannel& place, const Config& config);
  /// What the launcher says that this process is; over a connection of its own (PMI_PORT) only.
  Pmi1Channel::Identity identity(const LauncherChannel& place, const Config& config);

 private:
  Pmi1Session() = default;
  ~Pmi1Session();
  void open(const LauncherChannel& place, Nanoseconds deadline);
  void open_inherited(int fd);
  void connect(const PmiServer& server, Nanoseconds deadline);

  std::mutex mutex_;
  UniqueFd connection_;  // ours to close; an inherited one is not
  std::optional<Pmi1Channel> channel_;
  std::optional<Pmi1Channel::Identity> identity_;
  bool begun_ = false;
  pid_t owner_ = 0;  // a child made by fork() inherits all of this, and must not say good-bye
};

}  // namespace paceline::bootstrap
