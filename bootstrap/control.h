// The control links: heartbeats, deaths, the one piece of bad news, and orderly goodbyes.
//
// News is flooded: who hears of a failure for the first time tells all its neighbours but the one
// it came from. A link that ends without a goodbye is a death, unless the peer can be reached anew
// (the owner tries); a link that is silent for too long is one as well. Only the first failure of
// a communicator counts, on each rank.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/service_thread.h"
#include "base/unique_fd.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/channel.h"

namespace paceline::bootstrap {

/// Used on the service thread only, except for the constructor.
class Control {
 public:
  struct Events {
    std::function<std::string(int peer)> who = {};  ///< "rank 3 (host node7, pid 4711)"
    std::function<void(const FailureNotice&)> failed = {};
    std::function<void(int peer, ConstBytes payload)> block = {};
    std::function<void(int peer)> linked = {};
    /// `peer` has left in an orderly way; the next rank after it that it knew of.
    std::function<void(int peer, int next)> left = {};
    /// The last link with `peer` has ended without a goodbye: has it died, or was the link cut?
    /// Ends with add() or died().
    std::function<void(int peer, const std::string& why)> broken = {};
    /// No link with `peer` is left, for whatever reason.
    std::function<void(int peer)> lost = {};
    /// `rank` is known to be gone, having died or left; told of each once.
    std::function<void(int rank)> gone = {};
    /// The others take this rank for dead.
    std::function<void()> declared_dead = {};
    /// A message for everybody (group_messages.h); false if it makes no sense.
    std::function<bool(int peer, FrameType, ConstBytes payload)> group = {};
  };

  Control(ServiceClient& service, int rank, std::chrono::milliseconds heartbeat_timeout,
          Events events);

  /// A control link has come up. There may be several with one peer. `certain`: its end means the
  /// peer's death. Not so, until it has said something, for a link that the peer dialed to close
  /// the ring: it may have given that up, in order to leave, before it knew that we had let it in.
  void add(int peer, UniqueFd fd, bool certain);
  [[nodiscard]] bool linked(int peer) const;
  [[nodiscard]] bool has_left(int peer) const { return left_.contains(peer); }
  [[nodiscard]] std::vector<int> departed() const { return {left_.begin(), left_.end()}; }
  [[nodiscard]] bool gone(int rank) const { return gone_.contains(rank); }
  /// With whom a link is up, ascending.
  [[nodiscard]] std::vector<int> neighbours() const;
  [[nodiscard]] int links() const { return static_cast<int>(peers_.size()); }
  void send(int peer, FrameType type, ConstBytes payload);
  void flood(FrameType type, ConstBytes payload, int except);

  /// From now on all ranks tell each other who is gone: it matters when the survivors of a failure
  /// are to find each other, and would be a waste while all just leave.
  void spread_gone();

  /// "rank 3 (host node7, pid 4711) " and `how` become the news.
  void died(int peer, const std::string& how);
  /// The first call makes the communicator failed and tells everybody.
  void fail(FailureNotice notice) { fail_except(std::move(notice), nullptr); }
  [[nodiscard]] const std::optional<FailureNotice>& failure() const { return failure_; }

  /// Says goodbye on all links; calls `done` when all peers have closed theirs. `next` is the rank
  /// that takes our place on the ring.
  void leave(int next, std::function<void()> done);

 private:
  struct Peer {
    int rank = 0;
    std::shared_ptr<Channel> channel;
    Nanoseconds heard = 0;
    bool certain = true;
  };

  void fail_except(FailureNotice notice, const Peer* source);
  void on_frame(const std::shared_ptr<Peer>& peer, FrameType type, ConstBytes payload);
  void on_notice(const Peer& peer, ConstBytes payload);
  void on_goodbye(const std::shared_ptr<Peer>& peer, ConstBytes payload);
  void on_closed(const std::shared_ptr<Peer>& peer, const std::string& why);
  void on_gone(const Peer& peer, ConstBytes payload);
  void add_gone(int rank, int except);
  void tick();
  void forget(const std::shared_ptr<Peer>& peer);

  ServiceClient& service_;
  const int rank_;
  const Nanoseconds timeout_;
  const Nanoseconds interval_;
  Events events_;
  Nanoseconds last_tick_ = 0;
  ServiceClient::Timer ticker_ = ServiceClient::kNoTimer;
  std::vector<std::shared_ptr<Peer>> peers_;
  std::set<int> left_;
  std::set<int> gone_;
  bool spreading_ = false;
  std::optional<FailureNotice> failure_;
  std::function<void()> leaving_;  // set once we are
};

}  // namespace paceline::bootstrap
