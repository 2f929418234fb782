#include "transport_tcp/receive_stream.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "transport_tcp/send_queue.h"

namespace paceline::transport::tcp {

ReceiveStream::ReceiveStream(int socket, int stream)
    : socket_(socket), stream_(stream), buffer_(new std::byte[kBufferBytes]) {}

ReceiveStream::State ReceiveStream::receive(FrameHandler& handler) {
  std::size_t turn = kTurnBytes;
  for (;;) {
    if (!consume(handler)) return State::held;
    if (turn == 0) return State::more;

    // Now the buffer holds less than a header, and nothing at all while a payload is under way.
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    std::size_t wanted = 0;
    std::size_t space = ahead_ - end_;
    iovec parts[2] = {{}, {buffer_.get() + end_, space}};
    ssize_t n = 0;
    if (frame_) {
      const std::size_t rest = frame_->length - offset_;
      wanted = std::min(rest, turn);
      parts[0] = {handler.place(stream_, *frame_, offset_), wanted};
      if (wanted < rest) space = 0;  // what follows is still payload
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = space == 0 ? 1 : 2;
      n = ::recvmsg(socket_, &message, MSG_DONTWAIT);
    } else {  // the same with less to do: this is what waiting loops do
      n = ::recv(socket_, parts[1].iov_base, space, MSG_DONTWAIT);
    }
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return State::drained;
      error_ = errno;
      return State::ended;
    }
    if (n == 0) return State::ended;
    const auto got = static_cast<std::size_t>(n);
    const std::size_t in_place = std::min(got, wanted);
    end_ += got - in_place;
    turn -= std::min(turn, got);
    if (frame_) {
      offset_ += in_place;
      finish_if_complete(handler);
    }
    if (got < wanted + space) return consume(handler) ? State::drained : State::held;
  }
}

bool ReceiveStream::consume(FrameHandler& handler) {
  for (;;) {
    if (!frame_) {
      if (end_ - begin_ < kFrameBytes) return true;
      frame_ = decode(std::span<const std::byte, kFrameBytes>(buffer_.get() + begin_, kFrameBytes));
      begin_ += kFrameBytes;
      ahead_ = kFrameBytes + frame_->length > kBufferBytes ? kFrameBytes : kBufferBytes;
      offset_ = 0;
      admitted_ = false;
    }
    if (!admitted_) {
      if (handler.admit(stream_, *frame_) == FrameHandler::Admission::later) return false;
      admitted_ = true;
    }
    take_payload(handler);
    finish_if_complete(handler);
    if (frame_) return true;  // the rest has yet to come
  }
}

void ReceiveStream::take_payload(FrameHandler& handler) {
  const std::size_t here = std::min(frame_->length - offset_, end_ - begin_);
  if (here == 0) return;
  std::memcpy(handler.place(stream_, *frame_, offset_), buffer_.get() + begin_, here);
  begin_ += here;
  offset_ += here;
}

void ReceiveStream::finish_if_complete(FrameHandler& handler) {
  if (offset_ < frame_->length) return;
  const Frame done = *frame_;
  frame_.reset();
  handler.complete(stream_, done);
}

}  // namespace paceline::transport::tcp
