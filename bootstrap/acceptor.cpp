#include "bootstrap/acceptor.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "paceline/error.h"

namespace paceline::bootstrap {

namespace {

/// A handshake takes two round trips; five seconds also allow for a peer that is being started on
/// an overloaded machine.
constexpr Nanoseconds kHandshakeTime = 5 * kSecond;
/// Handshakes under way at once: more than a burst of a large job's ranks that the kernel's own
/// queue (4096 connections) smooths, less than a process's usual 1024 descriptors.
constexpr std::size_t kMaxPending = 256;
/// When there is no room, the oldest one must go if it has had this long: an honest peer needs
/// milliseconds.
constexpr Nanoseconds kFairTime = kSecond / 5;
/// How long accepting rests when there is no room or no descriptor.
constexpr auto kPause = std::chrono::milliseconds(20);
/// Accepted per turn of the service thread.
constexpr int kAcceptsPerTurn = 32;
/// So many refusals are told one by one: more than a mistake makes, and it fits on a screen.
constexpr std::uint64_t kAllTold = 16;

UniqueFd stream_socket(int family) {
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    throw Error(ErrorCode::out_of_memory, "no socket: " + errno_text(errno) +
                                              "; raise the limit on open descriptors (ulimit -n)");
  }
  return fd;
}

rlim_t descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

// 0, or the errno of what failed.
int bind_and_listen(int fd, const SocketAddress& address) {
  if (::bind(fd, address.data(), address.length()) != 0) return errno;
  return ::listen(fd, SOMAXCONN) == 0 ? 0 : errno;
}

}  // namespace

UniqueFd listen_tcp(const SocketAddress& address, std::uint16_t first, std::uint16_t last,
                    int attempt) {
  const bool ranged = address.port() == 0 && first != 0;
  const int ports = ranged ? last - first + 1 : 1;
  int error = 0;
  for (int i = 0; i < ports; ++i) {
    UniqueFd fd = stream_socket(address.family());
    const int one = 1;
    // Connections of an earlier job that linger in TIME_WAIT must not block the port.
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address.family() == AF_INET6) {
      ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    }
    const SocketAddress place =
        ranged ? address.with_port(static_cast<std::uint16_t>(first + (attempt + i) % ports))
               : address;
    error = bind_and_listen(fd.get(), place);
    if (error == 0) return fd;
    if (error != EADDRINUSE && error != EACCES) break;
  }
  std::string host = address.with_port(0).text();
  host.resize(host.rfind(':'));
  if (ranged && (error == EADDRINUSE || error == EACCES)) {
    throw Error(ErrorCode::bootstrap_failed,
                "no port of " + std::to_string(first) + "-" + std::to_string(last) +
                    " is free on " + host + " (the last said: " + errno_text(error) +
                    "); every rank of a host needs one: widen PACELINE_PORTS (Config::port_first, "
                    "port_last)");
  }
  throw Error(ErrorCode::bootstrap_failed, "cannot listen at " +
                                               (address.port() != 0 ? address.text() : host) +
                                               ": " + errno_text(error));
}

UniqueFd listen_local(const std::string& name) {
  UniqueFd fd = stream_socket(AF_UNIX);
  if (const int error = bind_and_listen(fd.get(), SocketAddress::abstract(name)); error != 0) {
    throw Error(ErrorCode::bootstrap_failed,
                "cannot listen at the local socket @" + name + ": " + errno_text(error));
  }
  return fd;
}

Acceptor::Acceptor(ServiceClient& service, std::string secret, Bytes info, Events events)
    : service_(service),
      secret_(std::move(secret)),
      info_(std::move(info)),
      events_(std::move(events)) {}

Acceptor::~Acceptor() {
  close();
}

void Acceptor::add_listener(UniqueFd fd) {
  const int number = fd.get();
  listeners_.push_back(std::move(fd));
  service_.add(number, EPOLLIN, [this, number](std::uint32_t) { accept_from(number); });
}

void Acceptor::close_listeners(const std::function<bool(const SocketAddress&)>& which) {
  std::erase_if(listeners_, [&](const UniqueFd& fd) {
    if (!which(SocketAddress::local_end(fd.get()))) return false;
    service_.remove(fd.get());
    return true;
  });
}

void Acceptor::close() {
  close_listeners([](const SocketAddress&) { return true; });
  pending_.clear();
  service_.cancel(std::exchange(expiry_, ServiceClient::kNoTimer));
  service_.cancel(std::exchange(resume_, ServiceClient::kNoTimer));
}

std::string Acceptor::refusals() const {
  const std::string starved = starved_ ? "this process may open no more than " +
                                             std::to_string(descriptor_limit()) +
                                             " files, and has: raise the limit (ulimit -n)"
                                       : "";
  if (refused_ == 0) return starved;
  return (starved.empty() ? starved : starved + "; ") + std::to_string(refused_) +
         (refused_ == 1 ? " connection was refused, from "
                        : " connections were refused, the last from ") +
         last_refusal_;
}

void Acceptor::accept_from(int listener) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (!make_room()) return pause();
    UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      // Out of descriptors or memory: the connection waits in the kernel's queue until there is
      // room again.
      starved_ = starved_ || errno == EMFILE;
      return pause();
    }
    admit(std::move(fd));
  }
}

bool Acceptor::make_room() {
  if (pending_.size() < kMaxPending) return true;
  if (steady_now() - pending_.front().since < kFairTime) return false;
  drop(pending_.begin(), "others were waiting");
  return true;
}

void Acceptor::pause() {
  if (resume_ != ServiceClient::kNoTimer) return;
  for (const UniqueFd& fd : listeners_) service_.modify(fd.get(), 0);
  resume_ = service_.after(kPause, [this] {
    resume_ = ServiceClient::kNoTimer;
    for (const UniqueFd& fd : listeners_) service_.modify(fd.get(), EPOLLIN);
  });
}

void Acceptor::admit(UniqueFd fd) {
  const int one = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);  // fails on local ones: fine
  const Place place = pending_.emplace(pending_.end());
  place->from = SocketAddress::remote_end(fd.get());
  place->since = steady_now();
  place->handshake = std::make_unique<ListenerHandshake>(secret_, info_);
  Channel::Events events;
  events.frame = [this, place](FrameType type, ConstBytes bytes) { on_frame(place, type, bytes); };
  events.closed = [this, place](const std::string& why) { drop(place, why); };
  place->channel = Channel::open(service_, std::move(fd), kMaxStrangerPayload, std::move(events));
  if (expiry_ == ServiceClient::kNoTimer) {
    expiry_ = service_.every(std::chrono::nanoseconds(kHandshakeTime / 10), [this] { expire(); });
  }
}

void Acceptor::expire() {
  const Nanoseconds now = steady_now();
  while (!pending_.empty() && now - pending_.front().since > kHandshakeTime) {
    drop(pending_.begin(), "it did not finish the handshake within 5 s");
  }
  if (pending_.empty()) service_.cancel(std::exchange(expiry_, ServiceClient::kNoTimer));
}

void Acceptor::count_refusal(const Place& place, const std::string& why, bool stranger) {
  ++refused_;
  last_refusal_ = place->from.text() + ": " + why;
  // Whoever knocks for ever must not fill a disk: the first ones, then in ever larger steps.
  const bool told = refused_ <= kAllTold || std::has_single_bit(refused_);
  if (events_.refused && told) {
    events_.refused(last_refusal_ + " (refusal " + std::to_string(refused_) + ")", stranger);
  }
}

// The channel is closed by now or is closed here; it may be the one whose callback this is.
void Acceptor::drop(Place place, const std::string& why) {
  // One of the job's that no longer needs what it came for leaves, too. Who was refused has been
  // counted already.
  if (!place->greeted) count_refusal(place, why, !place->channel->left());
  place->channel->close();
  const std::shared_ptr<Channel> keep = place->channel;
  pending_.erase(place);
}

void Acceptor::refuse(Place place, const Refusal& refusal) {
  count_refusal(place, refusal.text, refusal.code != RefusalCode::no_such_communicator);
  place->greeted = true;
  place->channel->send(FrameType::refused, refusal.encode());
  place->channel->finish();  // stays pending, to be read from, until the peer closes or time is up
}

void Acceptor::on_frame(Place place, FrameType type, ConstBytes payload) {
  if (type == FrameType::hello) {
    const std::optional<Bytes> challenge = place->handshake->on_hello(payload);
    if (!challenge) return refuse(place, {RefusalCode::malformed, "the hello is malformed"});
    return place->channel->send(FrameType::challenge, *challenge);
  }
  if (type == FrameType::refused) {
    const std::optional<Refusal> refusal = Refusal::decode(payload);
    return drop(place, refusal ? refusal->text : "its refusal is malformed");
  }
  if (type != FrameType::proof) {
    return refuse(place, {RefusalCode::malformed, "a handshake was expected here"});
  }
  if (!place->handshake->on_proof(payload)) {
    return refuse(place, {RefusalCode::wrong_secret, "wrong secret"});
  }
  const Hello hello = place->handshake->hello();
  if (const std::optional<Refusal> no = events_.judge(hello)) return refuse(place, *no);
  place->channel->send(FrameType::accepted);
  // Sixteen bytes into an empty socket buffer go out at once, or the peer is gone.
  const std::shared_ptr<Channel> keep = place->channel;
  const SocketAddress from = place->from;
  pending_.erase(place);
  if (keep->flushed()) events_.accepted(hello, keep->release(), from);
}

}  // namespace paceline::bootstrap
