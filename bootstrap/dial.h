// One connection to a peer's listener, made and authenticated without blocking, tried again where
// trying again can help, until a deadline.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/service_thread.h"
#include "base/unique_fd.h"
#include "bootstrap/addresses.h"
#include "bootstrap/channel.h"
#include "bootstrap/handshake.h"
#include "paceline/error.h"

namespace paceline::bootstrap {

struct DialPlan {
  std::vector<SocketAddress> candidates = {};  ///< tried in turn
  SocketAddress source = {};                   ///< our end's address, port 0; empty: the kernel's
  std::string secret = {};
  /// Made when the connection is there, since it may tell our own end's address.
  std::function<Hello(int fd)> hello = {};
  Nanoseconds deadline = 0;
  /// For how long "connection refused" is taken for "not there yet" rather than "gone".
  Nanoseconds patience = 0;
  /// Another communicator may be served there until ours is: try again.
  bool wait_for_communicator = false;
};

struct DialFailure {
  ErrorCode code = ErrorCode::bootstrap_failed;
  std::string text = {};  ///< "10.0.0.1:5000: connection refused"
};

/// Used on the service thread only. Calls one of its two functions, once, unless it is cancelled
/// before.
class Dial : public std::enable_shared_from_this<Dial> {
 public:
  using Connected = std::function<void(UniqueFd, const Bytes& info)>;
  using Failed = std::function<void(const DialFailure&)>;

  static std::shared_ptr<Dial> start(ServiceClient& service, DialPlan plan, Connected connected,
                                     Failed failed);
  ~Dial() { cancel(); }
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;
  void cancel();
  /// Where the last attempt went and what it met with, for texts: "at 10.0.0.1:5000: no answer".
  [[nodiscard]] std::string last_trouble() const { return "at " + trouble_at_ + ": " + trouble_; }

 private:
  Dial(ServiceClient& service, DialPlan plan, Connected connected, Failed failed);
  void attempt();
  void on_connected();
  void on_frame(FrameType type, ConstBytes payload);
  void on_refused(ConstBytes payload);
  void again(const std::string& why);
  void retry_or_fail(int error);
  void fail(ErrorCode code, const std::string& why);
  void end_attempt();
  [[nodiscard]] const SocketAddress& target() const;

  ServiceClient& service_;
  DialPlan plan_;
  Connected connected_;
  Failed failed_;
  Nanoseconds started_ = 0;
  Nanoseconds pause_ = 0;
  std::size_t tries_ = 0;
  UniqueFd connecting_;
  std::shared_ptr<Channel> channel_;
  std::unique_ptr<DialerHandshake> handshake_;
  ServiceClient::Timer timer_ = ServiceClient::kNoTimer;
  std::string trouble_ = "not tried yet";
  std::string trouble_at_ = "any address";
  bool over_ = false;
};

}  // namespace paceline::bootstrap
