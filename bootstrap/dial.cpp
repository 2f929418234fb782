#include "bootstrap/dial.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace paceline::bootstrap {

namespace {

/// Between attempts: the first ones in quick succession, since the peer is usually just starting,
/// then at a rate that a root with thousands of ranks can bear.
constexpr Nanoseconds kFirstPause = 5 * kMillisecond;
constexpr Nanoseconds kLongestPause = 200 * kMillisecond;
/// One attempt, connection and handshake: twice what the listener allows.
constexpr Nanoseconds kAttemptTime = 10 * kSecond;

}  // namespace

std::shared_ptr<Dial> Dial::start(ServiceClient& service, DialPlan plan, Connected connected,
                                  Failed failed) {
  std::shared_ptr<Dial> dial(
      new Dial(service, std::move(plan), std::move(connected), std::move(failed)));
  // Not at once: the caller has to keep the pointer before a callback can come.
  dial->timer_ = service.after(std::chrono::nanoseconds(0), [weak = dial->weak_from_this()] {
    if (const auto self = weak.lock()) self->attempt();
  });
  return dial;
}

Dial::Dial(ServiceClient& service, DialPlan plan, Connected connected, Failed failed)
    : service_(service),
      plan_(std::move(plan)),
      connected_(std::move(connected)),
      failed_(std::move(failed)),
      started_(steady_now()),
      pause_(kFirstPause) {}

const SocketAddress& Dial::target() const {
  return plan_.candidates[tries_ % plan_.candidates.size()];
}

void Dial::end_attempt() {
  service_.cancel(std::exchange(timer_, ServiceClient::kNoTimer));
  if (connecting_) {
    service_.remove(connecting_.get());
    connecting_.reset();
  }
  if (channel_) channel_->close();
  channel_.reset();
  handshake_.reset();
}

void Dial::cancel() {
  over_ = true;
  end_attempt();
}

void Dial::attempt() {
  end_attempt();
  const Nanoseconds now = steady_now();
  if (now >= plan_.deadline) return fail(ErrorCode::bootstrap_failed, trouble_);
  connecting_ =
      UniqueFd(::socket(target().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!connecting_) {
    return fail(ErrorCode::out_of_memory, "no socket: " + errno_text(errno) +
                                              "; raise the limit on open descriptors (ulimit -n)");
  }
  const int one = 1;
  ::setsockopt(connecting_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (!plan_.source.empty() && plan_.source.family() == target().family() &&
      ::bind(connecting_.get(), plan_.source.data(), plan_.source.length()) != 0) {
    return retry_or_fail(errno);
  }
  if (::connect(connecting_.get(), target().data(), target().length()) != 0 &&
      errno != EINPROGRESS) {
    return retry_or_fail(errno);
  }
  const std::weak_ptr<Dial> weak = weak_from_this();
  service_.add(connecting_.get(), EPOLLOUT, [weak](std::uint32_t) {
    if (const auto self = weak.lock()) self->on_connected();
  });
  timer_ = service_.after(
      std::chrono::nanoseconds(std::min(kAttemptTime, plan_.deadline - now)), [weak] {
        const auto self = weak.lock();
        if (self) self->again(self->channel_ ? "connected, but nobody there answers" : "no answer");
      });
}

void Dial::on_connected() {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(connecting_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) return retry_or_fail(error);
  // A dialer that knocks at a free port of its own host can be given that very port, and then TCP
  // connects it to itself.
  const int fd = connecting_.get();
  if (!target().local() && SocketAddress::local_end(fd) == SocketAddress::remote_end(fd)) {
    return again("nobody listens");
  }
  service_.remove(fd);
  Hello hello;
  try {
    hello = plan_.hello(fd);
  } catch (const Error& e) {
    return fail(e.code(), e.what());
  }
  handshake_ = std::make_unique<DialerHandshake>(plan_.secret, hello);
  const std::weak_ptr<Dial> weak = weak_from_this();
  Channel::Events events;
  events.frame = [weak](FrameType type, ConstBytes bytes) {
    if (const auto self = weak.lock()) self->on_frame(type, bytes);
  };
  events.closed = [weak](const std::string& why) {
    if (const auto self = weak.lock()) self->again(why);
  };
  channel_ =
      Channel::open(service_, std::move(connecting_), kMaxStrangerPayload, std::move(events));
  channel_->send(FrameType::hello, handshake_->hello_payload());
}

void Dial::on_frame(FrameType type, ConstBytes payload) {
  if (type == FrameType::refused) return on_refused(payload);
  if (type == FrameType::accepted && !handshake_->proof_payload().empty()) {
    const std::shared_ptr<Channel> channel = std::exchange(channel_, nullptr);
    const Bytes info = handshake_->info();
    UniqueFd fd = channel->release();
    cancel();
    return connected_(std::move(fd), info);
  }
  if (type != FrameType::challenge || !handshake_->proof_payload().empty()) {
    return again("what answers there is no listener of Paceline");
  }
  switch (handshake_->on_challenge(payload)) {
    case DialerHandshake::Outcome::good:
      return channel_->send(FrameType::proof, handshake_->proof_payload());
    case DialerHandshake::Outcome::malformed:
      return again("what answers there sent a malformed challenge");
    case DialerHandshake::Outcome::wrong_secret:
      channel_->send(FrameType::refused,
                     Refusal{RefusalCode::wrong_secret, "wrong secret"}.encode());
      return fail(ErrorCode::authentication_failed,
                  "wrong secret: the two ends do not share one; give all ranks of the job the same "
                  "PACELINE_SECRET or PACELINE_SECRET_FILE");
  }
}

void Dial::on_refused(ConstBytes payload) {
  const std::optional<Refusal> refusal = Refusal::decode(payload);
  if (!refusal) return again("its refusal is malformed");
  switch (refusal->code) {
    case RefusalCode::wrong_version:
      return fail(ErrorCode::bootstrap_failed, refusal->text);
    case RefusalCode::wrong_secret:
      return fail(ErrorCode::authentication_failed, refusal->text);
    case RefusalCode::no_such_communicator:
      if (plan_.wait_for_communicator) return again(refusal->text);
      return fail(ErrorCode::bootstrap_failed, refusal->text);
    case RefusalCode::malformed:
      return fail(ErrorCode::bootstrap_failed, refusal->text);
  }
}

void Dial::retry_or_fail(int error) {
  const bool gone = error == ECONNREFUSED && steady_now() - started_ >= plan_.patience;
  if (gone) return fail(ErrorCode::bootstrap_failed, errno_text(error));
  again(errno_text(error));
}

void Dial::again(const std::string& why) {
  const std::shared_ptr<Dial> keep = shared_from_this();
  if (over_) return;
  trouble_ = why;
  trouble_at_ = target().text();
  end_attempt();
  if (steady_now() >= plan_.deadline) return fail(ErrorCode::bootstrap_failed, why);
  ++tries_;
  // All candidates in turn before the next pause.
  const bool round_done = tries_ % plan_.candidates.size() == 0;
  const Nanoseconds wait =
      round_done ? std::min(pause_, std::max<Nanoseconds>(plan_.deadline - steady_now(), 0)) : 0;
  if (round_done) pause_ = std::min(pause_ * 2, kLongestPause);
  timer_ = service_.after(std::chrono::nanoseconds(wait), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->attempt();
  });
}

void Dial::fail(ErrorCode code, const std::string& why) {
  const std::shared_ptr<Dial> keep = shared_from_this();
  if (over_) return;
  const DialFailure failure{code, target().text() + ": " + why};
  cancel();
  failed_(failure);
}

}  // namespace paceline::bootstrap
