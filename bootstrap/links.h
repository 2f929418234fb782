// Sockets for the transports: dialed by the higher rank of a pair, handed out on both sides when
// all of a link are there.
//
// Mostly both ranks ask for a link at the same time, and the higher one's dial is all there is to
// it. If it has not come after a while, the lower rank knocks: the higher one's service thread then
// dials as if its own rank had asked, however busy that is elsewhere.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/service_thread.h"
#include "base/unique_fd.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/dial.h"
#include "bootstrap/messages.h"

namespace paceline::bootstrap {

/// More sockets than any transport wants for one peer; bounds what one request can open.
inline constexpr int kMaxSockets = 64;

/// Used on the service thread only.
class Links {
 public:
  struct Events {
    /// How to dial the peer, but for the hello's body.
    std::function<DialPlan(const LinkRequest&)> plan = {};
    /// The hello of a link to `peer` with that body.
    std::function<Hello(int peer, Bytes body)> hello = {};
    std::function<void(Link)> ready = {};
    std::function<void(const LinkRequest&, const DialFailure&)> failed = {};
  };

  Links(ServiceClient& service, int rank, std::chrono::milliseconds timeout, Events events);

  void request(const LinkRequest& request);
  /// A socket that a peer has dialed.
  void arrived(int peer, const LinkHello& hello, UniqueFd fd);
  /// Gives up everything under way.
  void close();

 private:
  /// A link that is not complete yet.
  struct Partial {
    Link link;
    std::size_t missing = 0;
    Nanoseconds since = 0;
    std::vector<std::shared_ptr<Dial>> dials;
  };

  void dial(std::uint64_t id, const LinkRequest& request, int index);
  void knock(const LinkRequest& request);
  void drop_stale();

  ServiceClient& service_;
  const int rank_;
  const Nanoseconds timeout_;
  Events events_;
  std::uint64_t last_id_ = 0;
  /// {peer, transport} that were asked for, and those that a peer has dialed: each link is made
  /// once.
  std::set<std::pair<int, std::uint8_t>> known_;
  std::set<std::pair<int, std::uint8_t>> come_;
  std::map<std::uint64_t, std::shared_ptr<Dial>> knocks_;
  bool closed_ = false;
  std::map<std::uint64_t, Partial> dialed_;                    // by our number
  std::map<std::pair<int, std::uint64_t>, Partial> accepted_;  // by peer and its number
};

}  // namespace paceline::bootstrap
