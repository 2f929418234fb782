// Listening sockets, and the handshakes with whoever knocks. Strangers cost a descriptor and two
// kilobytes for five seconds, and there are never more than kMaxPending of them.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/service_thread.h"
#include "base/unique_fd.h"
#include "bootstrap/addresses.h"
#include "bootstrap/channel.h"
#include "bootstrap/handshake.h"

namespace paceline::bootstrap {

/// A listening TCP socket at `address`; where its port is 0, on a port of first..last (0-0: any).
/// `attempt` says with which port of the range to begin. Throws Error (bootstrap_failed).
UniqueFd listen_tcp(const SocketAddress& address, std::uint16_t first, std::uint16_t last,
                    int attempt);
/// A listening abstract socket of that name.
UniqueFd listen_local(const std::string& name);

/// Used on the service thread only, except for the constructor.
class Acceptor {
 public:
  struct Events {
    /// The dialer knows the secret: may it come in? The refusal, if not.
    std::function<std::optional<Refusal>(const Hello&)> judge = {};
    /// In: connected, authenticated, non-blocking, nothing read beyond the handshake.
    std::function<void(const Hello&, UniqueFd, const SocketAddress& from)> accepted = {};
    /// Not in: who, and why. `stranger`: it did not know the secret or made no sense; else it may
    /// be one of the job's that came too early or too late, or has left again.
    std::function<void(const std::string& who_and_why, bool stranger)> refused = {};
  };

  Acceptor(ServiceClient& service, std::string secret, Bytes info, Events events);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  void add_listener(UniqueFd fd);
  /// Closes the listeners whose address `which` picks. Handshakes under way go on.
  [[nodiscard]] int listeners() const { return static_cast<int>(listeners_.size()); }
  void close_listeners(const std::function<bool(const SocketAddress&)>& which);
  /// Closes everything.
  void close();

  /// What challenges tell; fixed before the first dialer can come.
  void set_info(Bytes info) { info_ = std::move(info); }

  /// "3 connections were refused, the last from 10.0.0.1:4711: wrong secret"; empty if none was.
  [[nodiscard]] std::string refusals() const;

 private:
  struct Pending {
    std::shared_ptr<Channel> channel;
    std::unique_ptr<ListenerHandshake> handshake;
    SocketAddress from;
    Nanoseconds since = 0;
    bool greeted = false;
  };
  using Place = std::list<Pending>::iterator;

  void accept_from(int listener);
  bool make_room();
  void pause();
  void admit(UniqueFd fd);
  void on_frame(Place place, FrameType type, ConstBytes payload);
  void refuse(Place place, const Refusal& refusal);
  void drop(Place place, const std::string& why);
  void count_refusal(const Place& place, const std::string& why, bool stranger);
  void expire();

  ServiceClient& service_;
  std::string secret_;
  Bytes info_;
  Events events_;
  std::vector<UniqueFd> listeners_;
  std::list<Pending> pending_;  // oldest first
  ServiceClient::Timer expiry_ = ServiceClient::kNoTimer;
  ServiceClient::Timer resume_ = ServiceClient::kNoTimer;
  std::uint64_t refused_ = 0;
  bool starved_ = false;  ///< of descriptors
  std::string last_refusal_;
};

}  // namespace paceline::bootstrap
