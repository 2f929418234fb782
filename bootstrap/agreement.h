// Who is left: after a failure the ranks that are alive agree on a list of themselves, although
// more may die while they do.
//
// A rank takes part when its program asks. The lowest rank that is not known to be gone leads: it
// asks everybody (inquiry.h) until each rank either takes part, or is gone, or time is up; those
// that take part are the survivors. It floods this decision, and whoever hears it passes it on, so
// all hear it if one does.
//
// If the leader dies, the next lowest leads. It first asks like any leader, and a rank that knows a
// decision answers with it, which then stands. A rank that has answered a leader takes no decision
// of a lower one any more, though it may still be on its way: so two decisions never meet. (Paxos
// with ranks for ballots, where a closed link says for certain that a rank is dead. A rank that is
// merely silent is treated as dead, and learns it: it may not take part any more.)
//
// What this cannot tell apart is a cut network: two halves that no longer hear each other each take
// the others for dead.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/service_thread.h"
#include "bootstrap/group_messages.h"

namespace paceline::bootstrap {

/// Used on the service thread only.
class Agreement {
 public:
  struct Events {
    std::function<bool(int rank)> gone = {};
    std::function<void(Topic, Bytes question, std::chrono::nanoseconds limit,
                       std::function<void(std::optional<Testimonies>)>)>
        inquire = {};
    /// To all neighbours, but the one given.
    std::function<void(FrameType, ConstBytes payload, int except)> flood = {};
    /// The list, ascending.
    std::function<void(std::vector<int>)> agreed = {};
    /// There will be none; who is to blame, and why.
    std::function<void(int culprit, std::string)> excluded = {};
  };

  Agreement(ServiceClient& service, int rank, int size, Events events);

  /// Takes part in the next agreement. Its end is `agreed` or `excluded`. A rank that has not begun
  /// when `limit` has passed at the leader is left out.
  void begin(std::chrono::nanoseconds limit);
  /// Some rank has gone: perhaps it was the leader.
  void on_gone();
  /// The others take this rank for dead.
  void on_declared_dead();
  /// This rank's testimony to a leader.
  [[nodiscard]] Bytes testify(int leader, ConstBytes question);
  /// False if the payload makes no sense.
  [[nodiscard]] bool on_decision(int peer, ConstBytes payload);
  void close();

 private:
  struct Reply;

  void lead();
  void ask();
  void on_replies(const Testimonies& testimonies);
  void take(const Decision& decision, int from);
  void conclude();
  void exclude(int culprit, const std::string& why);
  [[nodiscard]] int leader() const;

  ServiceClient& service_;
  const int rank_;
  const int size_;
  Events events_;
  std::uint32_t epoch_ = 0;  ///< of the agreement that is under way or was last
  bool active_ = false;
  bool leading_ = false;
  bool declared_dead_ = false;
  Nanoseconds deadline_ = 0;
  Nanoseconds pause_ = 0;
  ServiceClient::Timer timer_ = ServiceClient::kNoTimer;
  std::map<std::uint32_t, std::uint32_t> promised_;  ///< by epoch: the leader answered last
  std::map<std::uint32_t, Decision> decided_;        ///< by epoch
};

}  // namespace paceline::bootstrap
