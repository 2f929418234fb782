#include "transport_tcp/tcp_transport.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "paceline/error.h"
#include "transport_tcp/endpoint.h"
#include "transport_tcp/frame.h"
#include "transport_tcp/hub.h"

namespace paceline::transport {
namespace tcp {
namespace {

/// Each link costs a descriptor and 8 KiB per peer; more than eight streams gain nothing on any
/// network a host without RDMA has.
constexpr int kMaxLinks = 8;

class TcpRegistration final : public Registration {
 public:
  TcpRegistration(std::shared_ptr<Hub> hub, const MemoryView& memory)
      : hub_(std::move(hub)), key_(hub_->registrations.add(memory.data, memory.length)) {}
  ~TcpRegistration() override { hub_->registrations.remove(key_); }
  TcpRegistration(const TcpRegistration&) = delete;
  TcpRegistration& operator=(const TcpRegistration&) = delete;
  std::uint64_t key() const override { return key_; }

 private:
  std::shared_ptr<Hub> hub_;
  std::uint64_t key_;
};

/// Greets on every link and waits to be greeted: a link that was wired up wrongly, or to another
/// version, shows here and not in somebody's memory.
class TcpConnector final : public Connector {
 public:
  TcpConnector(std::shared_ptr<Hub> hub, int peer, std::vector<UniqueFd> sockets)
      : hub_(std::move(hub)), peer_(peer) {
    for (UniqueFd& socket : sockets) greetings_.push_back({.socket = std::move(socket)});
    for (std::size_t i = 0; i < greetings_.size(); ++i) {
      greetings_[i].ours = encode(Hello{.links = static_cast<std::uint8_t>(greetings_.size()),
                                        .index = static_cast<std::uint8_t>(i)});
    }
  }

  std::unique_ptr<Endpoint> poll() override {
    if (greetings_.empty()) throw broken("poll() was called again after it had made the endpoint");
    bool ready = true;
    for (std::size_t i = 0; i < greetings_.size(); ++i) ready = greet(i) && ready;
    if (!ready) return nullptr;
    std::vector<UniqueFd> sockets;
    for (Greeting& greeting : greetings_) sockets.push_back(std::move(greeting.socket));
    greetings_.clear();
    return std::make_unique<TcpEndpoint>(hub_, peer_, std::move(sockets));
  }

 private:
  struct Greeting {
    UniqueFd socket;
    Bytes ours = {};
    std::size_t sent = 0;
    std::array<std::byte, kHelloBytes> theirs = {};
    std::size_t received = 0;
  };

  /// True if both directions are done.
  bool greet(std::size_t index) {
    Greeting& g = greetings_[index];
    // Reading first: a peer that hangs up has often said why.
    if (g.received < kHelloBytes) {
      const ssize_t n = ::recv(g.socket.get(), g.theirs.data() + g.received,
                               kHelloBytes - g.received, MSG_DONTWAIT);
      if (n < 0 && !again(errno)) throw broken(std::strerror(errno));
      if (n == 0) throw broken("the peer closed it");
      if (n > 0) g.received += static_cast<std::size_t>(n);
      if (g.received == kHelloBytes) check(g, index);
    }
    if (g.sent < kHelloBytes) {
      const ssize_t n = ::send(g.socket.get(), g.ours.data() + g.sent, kHelloBytes - g.sent,
                               MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno == EPIPE) throw broken("the peer closed it");
      if (n < 0 && !again(errno)) throw broken(std::strerror(errno));
      if (n > 0) g.sent += static_cast<std::size_t>(n);
    }
    return g.sent == kHelloBytes && g.received == kHelloBytes;
  }

  void check(const Greeting& g, std::size_t index) const {
    Hello hello;
    try {
      hello = decode_hello(g.theirs);
    } catch (const Error& error) {
      throw broken(error.what());
    }
    if (hello.version != kVersion) {
      throw broken("the peer speaks version " + std::to_string(hello.version) +
                   " of the protocol and this rank version " + std::to_string(kVersion) +
                   "; run the same build everywhere");
    }
    if (hello.links != greetings_.size()) {
      throw broken("the peer uses " + std::to_string(hello.links) + " links and this rank " +
                   std::to_string(greetings_.size()) + "; set PACELINE_TCP_LINKS the same");
    }
    if (hello.index != index) {
      throw broken("socket " + std::to_string(index) + " is the peer's socket " +
                   std::to_string(hello.index));
    }
  }

  static bool again(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }
  Error broken(const std::string& why) const {
    return {ErrorCode::transport_failed,
            "the tcp link to rank " + std::to_string(peer_) + " could not be made: " + why,
            {.peer = peer_}};
  }

  std::shared_ptr<Hub> hub_;
  int peer_;
  std::vector<Greeting> greetings_;
};

class TcpTransport final : public Transport {
 public:
  explicit TcpTransport(const TcpOptions& options)
      : links_(options.links), congestion_(options.congestion) {
    if (links_ < 1 || links_ > kMaxLinks) {
      throw Error(ErrorCode::invalid_configuration, "tcp_links is " + std::to_string(links_) +
                                                        "; 1 to " + std::to_string(kMaxLinks) +
                                                        " are allowed");
    }
    hub_->epoll.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (!hub_->epoll) {
      throw Error(ErrorCode::out_of_memory,
                  std::string("the tcp transport got no descriptor: epoll_create1: ") +
                      std::strerror(errno));
    }
    try_congestion_control();
  }

  std::string_view name() const override { return "tcp"; }

  Bytes describe() const override {
    return encode(Hello{.links = static_cast<std::uint8_t>(links_)});
  }

  Reachable reachable(ConstBytes peer_description) const override {
    Hello theirs;
    try {
      theirs = decode_hello(peer_description);
    } catch (const Error&) {
      return {.why_not = "the peer's tcp description cannot be read"};
    }
    // Worded without "we" and "they": both ends come to the same answer.
    if (theirs.version != kVersion) {
      return {.why_not = "the ranks speak different versions of the tcp protocol"};
    }
    if (theirs.links != links_) {
      return {.why_not = "PACELINE_TCP_LINKS differs between the ranks"};
    }
    return {.yes = true};
  }

  std::size_t longest_message() const override { return kLongestMessage; }

  SocketNeed sockets() const override {
    return {.family = SocketNeed::Family::inet, .count = links_};
  }

  std::unique_ptr<Connector> connect(int peer, Role /*both greet alike*/,
                                     std::vector<UniqueFd> sockets) override {
    if (sockets.size() != static_cast<std::size_t>(links_)) {
      throw Error(ErrorCode::internal, "connect() was given " + std::to_string(sockets.size()) +
                                           " sockets; " + std::to_string(links_) + " are needed");
    }
    for (const UniqueFd& socket : sockets) {
      // A put of eight bytes must not wait for the acknowledgement of the one before. Other
      // families have no such option and no such wait.
      const int on = 1;
      (void)::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      if (!congestion_.empty()) (void)choose_congestion_control(socket.get());
    }
    return std::make_unique<TcpConnector>(hub_, peer, std::move(sockets));
  }

  std::unique_ptr<Registration> register_memory(const MemoryView& memory) override {
    return std::make_unique<TcpRegistration>(hub_, memory);
  }

  void progress() override {
    if (!others_can_wait() && !hub_->endpoints.empty()) {
      // One call however many peers there are, and cheaper than one recv() that finds nothing (96
      // against 170 ns).
      std::array<epoll_event, kEvents> events;
      const int n = ::epoll_wait(hub_->epoll.get(), events.data(), kEvents, 0);
      for (int i = 0; i < n; ++i) {
        auto* link = static_cast<TcpEndpoint::Link*>(events[static_cast<std::size_t>(i)].data.ptr);
        link->owner->readable(*link);
      }
    }
    if (hub_->restless > 0) {
      for (TcpEndpoint* endpoint : hub_->endpoints) endpoint->tend();
    }
    if (!hub_->lingering.empty()) hub_->lingering.tend();
  }

  bool needs_progress() const override { return true; }

  bool prepare_sleep(std::vector<pollfd>& descriptors) override {
    epoll_event event{};
    if (::epoll_wait(hub_->epoll.get(), &event, 1, 0) > 0) return false;
    descriptors.push_back({hub_->epoll.get(), POLLIN, 0});
    if (hub_->restless > 0) {
      for (const TcpEndpoint* endpoint : hub_->endpoints) endpoint->add_blocked(descriptors);
    }
    return true;
  }

 private:
  [[nodiscard]] bool choose_congestion_control(int socket) const {
    return ::setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, congestion_.data(),
                        static_cast<socklen_t>(congestion_.size())) == 0;
  }

  /// On a socket that is good for nothing else: what is wrong is said before any link is made.
  void try_congestion_control() const {
    if (congestion_.empty()) return;
    const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (socket && choose_congestion_control(socket.get())) return;
    const int error = errno;
    std::ifstream file("/proc/sys/net/ipv4/tcp_allowed_congestion_control");
    std::string allowed;
    std::getline(file, allowed);
    throw Error(
        ErrorCode::invalid_configuration,
        "PACELINE_TCP_CONGESTION is \"" + congestion_ + "\": " + std::strerror(error) +
            "; this kernel allows: " + (allowed.empty() ? "nothing that it names" : allowed));
  }

  /// As many as one turn serves; the rest is ready in the next.
  static constexpr int kEvents = 32;
  /// One turn in so many looks at all links, if the others ask only the one that they wait for.
  static constexpr int kTurnsAsked = 8;

  /// Somebody waits for a message and asks its link, in each turn: what has come on other links is
  /// not urgent.
  bool others_can_wait() {
    turns_asked_ = std::exchange(hub_->asked, false) ? (turns_asked_ + 1) % kTurnsAsked : 0;
    return turns_asked_ != 0;
  }

  int links_;
  std::string congestion_;
  int turns_asked_ = 0;
  std::shared_ptr<Hub> hub_ = std::make_shared<Hub>();
};

}  // namespace
}  // namespace tcp

std::unique_ptr<Transport> make_tcp_transport(const TcpOptions& options) {
  return std::make_unique<tcp::TcpTransport>(options);
}

}  // namespace paceline::transport
