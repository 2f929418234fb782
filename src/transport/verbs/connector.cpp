#include "transport_verbs/connector.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "transport_verbs/completion_text.h"

namespace paceline::transport::verbs {
namespace {

constexpr std::byte kReady{0x52};
constexpr std::byte kSaid{0x53};
constexpr std::byte kHeard{0x48};
constexpr std::byte kAgain{0x41};

/// How long a hello that was acknowledged may take to show here. On InfiniBand and RoCE it is here
/// before the acknowledgement is; on iWARP "acknowledged" may mean handed to TCP, which repeats a
/// lost packet within 0.2 s, and then after twice that.
constexpr Nanoseconds kHelloPatience = 2 * kSecond;

}  // namespace

VerbsConnector::VerbsConnector(std::shared_ptr<Device> device, const VerbsOptions& options,
                               int peer, Role role, UniqueFd socket)
    : device_(std::move(device)),
      options_(options),
      peer_(peer),
      role_(role),
      socket_(std::move(socket)) {
  begin(device_->notify_ways(options_.notify));
}

void VerbsConnector::begin(NotifyWays ways) {
  endpoint_.reset();
  endpoint_ = std::make_unique<VerbsEndpoint>(device_, options_, peer_, role_,
                                              network_of_socket(socket_.get()), ways);
  out_ = endpoint_->info().pack();
  written_ = 0;
  in_.clear();
  began_hello_ = false;
  said_ = false;
  our_verdict_.reset();
  their_verdict_.reset();
  they_said_at_.reset();
  stage_ = Stage::descriptions;
}

/// True once everything is out.
bool VerbsConnector::write_out() {
  while (written_ < out_.size()) {
    const ssize_t sent = ::send(socket_.get(), out_.data() + written_, out_.size() - written_,
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return false;
      throw Error(ErrorCode::peer_failed,
                  "rank " + std::to_string(peer_) + " went away while an RDMA link was made (" +
                      errno_text(errno) + ")",
                  {.peer = peer_});
    }
    written_ += static_cast<std::size_t>(sent);
  }
  return true;
}

/// True once `length` bytes in all have come in; takes no more than that.
bool VerbsConnector::read_to(std::size_t length) {
  std::array<std::byte, QpInfo::kPackedSize> buffer;
  while (in_.size() < length) {
    const std::size_t wanted = std::min(length - in_.size(), buffer.size());
    const ssize_t got = ::recv(socket_.get(), buffer.data(), wanted, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return false;
    if (got <= 0) {
      throw Error(ErrorCode::peer_failed,
                  "rank " + std::to_string(peer_) +
                      " hung up while an RDMA link was made; its own error says why",
                  {.peer = peer_});
    }
    in_.insert(in_.end(), buffer.begin(), buffer.begin() + got);
  }
  return true;
}

void VerbsConnector::refuse(const std::string& what) const {
  throw Error(ErrorCode::transport_failed, "rank " + std::to_string(peer_) + " " + what,
              {.peer = peer_});
}

std::unique_ptr<Endpoint> VerbsConnector::poll() {
  if (!endpoint_) return nullptr;
  switch (stage_) {
    case Stage::descriptions: {
      (void)write_out();
      if (!read_to(QpInfo::kPackedSize)) return nullptr;
      const QpInfo theirs = QpInfo::unpack(in_, peer_);
      endpoint_->connect_to(theirs);
      may_begin_again_ = endpoint_->notify_way() == Notify::write_with_immediate &&
                         has(endpoint_->info().notify_ways, Notify::write_then_send) &&
                         has(theirs.notify_ways, Notify::write_then_send);
      stage_ = Stage::manager;
      [[fallthrough]];
    }
    case Stage::manager:
      // A ready byte of the peer's may be there already; or its end.
      (void)read_to(QpInfo::kPackedSize + 1);
      if (!endpoint_->is_connected()) return nullptr;
      out_.push_back(kReady);
      stage_ = Stage::ready;
      [[fallthrough]];
    case Stage::ready: {
      const bool all_out = write_out();
      if (!read_to(QpInfo::kPackedSize + 1) || !all_out) return nullptr;
      if (in_.back() != kReady) refuse("did not say that its RDMA link is ready");
      stage_ = Stage::hello;
      begin_hello();
      return nullptr;
    }
    case Stage::hello:
      // What the peer says over the socket it says after its packet: so the socket first, then the
      // packets.
      read_hello();
      (void)endpoint_->poll();
      begin_hello();
      say_hello();
      if (!write_out() || !our_verdict_ || !their_verdict_) return nullptr;
      return finish();
  }
  return nullptr;
}

void VerbsConnector::begin_hello() {
  if (began_hello_ || (endpoint_->must_hear_first() && !endpoint_->heard_hello())) return;
  began_hello_ = true;
  endpoint_->say_hello();
}

/// What the peer says of the hellos.
void VerbsConnector::read_hello() {
  while (!their_verdict_ && read_to(in_.size() + 1)) {
    const std::byte word = in_.back();
    if (word == kSaid && !they_said_at_) {
      they_said_at_ = steady_now();
    } else if (word == kHeard || (word == kAgain && may_begin_again_)) {
      their_verdict_ = word;
    } else {
      refuse("sent something else than the state of its RDMA link");
    }
  }
}

/// What we say of them.
void VerbsConnector::say_hello() {
  if (our_verdict_) return;
  if (hello_must_be_sent()) {
    our_verdict_ = kAgain;
    out_.push_back(kAgain);
    return;
  }
  check_link();
  if (!said_ && began_hello_ && endpoint_->said_hello()) {
    said_ = true;
    out_.push_back(kSaid);
  }
  if (said_ && endpoint_->heard_hello()) {
    our_verdict_ = kHeard;
    out_.push_back(kHeard);
  }
}

/// True if immediates do not work on this link, and there is another way.
bool VerbsConnector::hello_must_be_sent() {
  if (!may_begin_again_) return false;
  const bool swallowed =
      they_said_at_ && !endpoint_->heard_hello() && steady_now() - *they_said_at_ > kHelloPatience;
  return their_verdict_ == kAgain || swallowed || endpoint_->refused_hello();
}

void VerbsConnector::check_link() const {
  try {
    endpoint_->check_usable();
  } catch (const Error& error) {
    const bool demanded = endpoint_->notify_way() == Notify::write_with_immediate;
    if (!demanded || !endpoint_->refused_hello()) throw;
    throw Error(error.code(),
                std::string(error.what()) +
                    "; PACELINE_IB_NOTIFY=immediate leaves no other way: take auto or send",
                {.peer = peer_});
  }
}

std::unique_ptr<Endpoint> VerbsConnector::finish() {
  if (our_verdict_ == kHeard && their_verdict_ == kHeard) {
    endpoint_->keep_socket(std::move(socket_));
    return std::move(endpoint_);
  }
  begin(static_cast<NotifyWays>(Notify::write_then_send));
  return nullptr;
}

}  // namespace paceline::transport::verbs
