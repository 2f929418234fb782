#include "bootstrap/channel.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "bootstrap/addresses.h"

namespace paceline::bootstrap {

namespace {

/// Frames taken per turn, so that one busy peer does not keep the others waiting. The socket stays
/// ready, so the rest follows in the next turn.
constexpr int kFramesPerTurn = 64;

}  // namespace

std::shared_ptr<Channel> Channel::open(ServiceClient& service, UniqueFd fd, std::size_t limit,
                                       Events events) {
  std::shared_ptr<Channel> channel(new Channel(service, std::move(fd), limit, std::move(events)));
  const std::weak_ptr<Channel> weak = channel;
  service.add(channel->fd(), EPOLLIN, [weak](std::uint32_t ready) {
    if (const auto self = weak.lock()) self->on_ready(ready);
  });
  return channel;
}

Channel::Channel(ServiceClient& service, UniqueFd fd, std::size_t limit, Events events)
    : service_(service),
      fd_(std::move(fd)),
      limit_(limit),
      events_(std::make_shared<Events>(std::move(events))),
      in_(kHeaderBytes) {}

Channel::~Channel() {
  close();
}

void Channel::set_events(Events events, std::size_t limit) {
  events_ = std::make_shared<Events>(std::move(events));
  limit_ = limit;
}

void Channel::close() {
  if (!fd_) return;
  service_.remove(fd_.get());
  fd_.reset();
}

UniqueFd Channel::release() {
  if (fd_) service_.remove(fd_.get());
  return std::move(fd_);
}

void Channel::end(const std::string& why) {
  if (!fd_) return;
  close();
  const std::shared_ptr<Events> events = events_;  // the callback may replace or drop us
  if (events->closed) events->closed(why);
}

void Channel::send(FrameType type, ConstBytes payload) {
  if (!fd_ || write_broken_ || finishing_) return;
  if (flushed()) {
    out_.clear();
    sent_ = 0;
  }
  const Bytes frame = encode_frame(type, payload);
  out_.insert(out_.end(), frame.begin(), frame.end());
  write_out();
}

void Channel::write_out() {
  while (!flushed()) {
    const ssize_t n =
        ::send(fd_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      sent_ += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (errno != EINTR) {
      // The peer is gone. What it said before may still wait to be read.
      write_broken_ = true;
      sent_ = out_.size();
    }
  }
  if (want_write_ != !flushed()) {
    want_write_ = !flushed();
    service_.modify(fd_.get(), want_write_ ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
  if (finishing_ && flushed()) ::shutdown(fd_.get(), SHUT_WR);
}

void Channel::finish() {
  if (!fd_ || finishing_) return;
  finishing_ = true;
  write_out();
}

void Channel::on_ready(std::uint32_t events) {
  const std::shared_ptr<Channel> keep = shared_from_this();
  if ((events & EPOLLOUT) != 0) write_out();
  if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) == 0) return;
  if (finishing_) {
    discard_input();
  } else {
    read_frames();
  }
}

void Channel::discard_input() {
  std::array<std::byte, 4096> nowhere;
  const ssize_t n = ::recv(fd_.get(), nowhere.data(), nowhere.size(), MSG_DONTWAIT);
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) end(farewell_);
}

// True if the part under way (header or payload) is complete.
bool Channel::read_some() {
  while (received_ < in_.size()) {
    const ssize_t n =
        ::recv(fd_.get(), in_.data() + received_, in_.size() - received_, MSG_DONTWAIT);
    if (n > 0) {
      received_ += static_cast<std::size_t>(n);
    } else if (n == 0) {
      left_ = true;
      end("its end of the connection closed");
      return false;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return false;
    } else if (errno != EINTR) {
      end(errno_text(errno));
      return false;
    }
  }
  received_ = 0;
  return true;
}

// False if the stream is of no use any more.
bool Channel::take_header() {
  header_ = decode_header(in_);
  if (header_.magic != kMagic) {
    end("it does not speak Paceline");
    return false;
  }
  if (header_.version != kVersion && header_.type != FrameType::refused) {
    const std::string said = std::to_string(header_.version);
    send(FrameType::refused,
         Refusal{RefusalCode::wrong_version, "version " + std::to_string(kVersion) +
                                                 " is spoken here, you said " + said +
                                                 ": all ranks need the same version of Paceline"}
             .encode());
    farewell_ = "it speaks version " + said;
    finish();
    return false;
  }
  if (header_.length > limit_) {
    end("it sent a message of " + std::to_string(header_.length) + " bytes where at most " +
        std::to_string(limit_) + " are allowed");
    return false;
  }
  in_.resize(header_.length);
  in_payload_ = true;
  return true;
}

void Channel::read_frames() {
  for (int frames = 0; frames < kFramesPerTurn && fd_ && !finishing_;) {
    if (!read_some()) return;
    if (!in_payload_) {
      if (!take_header()) return;
      continue;
    }
    const Bytes payload = std::exchange(in_, Bytes(kHeaderBytes));
    in_payload_ = false;
    ++frames;
    const std::shared_ptr<Events> events = events_;
    if (events->frame) events->frame(header_.type, payload);
  }
}

}  // namespace paceline::bootstrap
