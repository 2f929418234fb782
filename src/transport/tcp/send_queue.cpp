#include "transport_tcp/send_queue.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace paceline::transport::tcp {
namespace {

constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;

/// A frame up to this long, 4 KiB of data and the headers, is brought together first: that takes
/// less time than the kernel needs to fetch it from three places.
constexpr std::size_t kBroughtTogether = 4096 + 128;

iovec part(ConstBytes bytes) {
  // The kernel only reads through it; iovec has no const.
  return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

}  // namespace

int SendQueue::post(const Frame& frame, ConstBytes payload) {
  const FrameImage header = encode(frame);
  Written written;
  if (frames_.empty()) {
    written = write_now(header, payload.first(std::min(payload.size(), kTurnBytes)), {});
    if (written.error != 0) return written.error;
    if (written.bytes == kFrameBytes + payload.size()) return 0;
  }
  frames_.push_back({.header = header, .payload = payload, .sent = written.bytes});
  return 0;
}

int SendQueue::post_copy(const Frame& frame, ConstBytes first, ConstBytes second) {
  const FrameImage header = encode(frame);
  Written written;
  if (frames_.empty()) {
    written = write_now(header, first, second);
    if (written.error != 0) return written.error;
    if (written.bytes == kFrameBytes + first.size() + second.size()) return 0;
  }
  Bytes copy;
  copy.reserve(first.size() + second.size());
  copy.insert(copy.end(), first.begin(), first.end());
  copy.insert(copy.end(), second.begin(), second.end());
  const ConstBytes payload = copy;  // a moved vector keeps its place
  frames_.push_back(
      {.header = header, .payload = payload, .sent = written.bytes, .copy = std::move(copy)});
  return 0;
}

int SendQueue::flush() {
  // Gathering frames makes many queued small puts one system call.
  constexpr std::size_t kParts = 32;
  std::size_t turn = kTurnBytes;
  while (!frames_.empty() && turn > 0) {
    std::array<iovec, kParts> parts;
    std::size_t count = 0;
    std::size_t asked = 0;
    for (const Entry& frame : frames_) {
      if (count + 2 > kParts || asked >= turn) break;
      const std::size_t of_header = std::min(frame.sent, kFrameBytes);
      const ConstBytes header = ConstBytes(frame.header).subspan(of_header);
      const ConstBytes rest = frame.payload.subspan(frame.sent - of_header);
      if (!header.empty()) parts[count++] = part(header);
      const ConstBytes payload = rest.first(std::min(rest.size(), turn - std::min(turn, asked)));
      if (!payload.empty()) parts[count++] = part(payload);
      asked += header.size() + payload.size();
      if (payload.size() < rest.size()) break;  // the next frame may not overtake the rest
    }
    const Written written = write(parts.data(), count);
    if (written.error != 0) return written.error;
    drop_sent(written.bytes);
    if (written.bytes < asked) return 0;  // the kernel's buffer is full
    turn -= std::min(turn, written.bytes);
  }
  return 0;
}

SendQueue::Written SendQueue::write_now(const FrameImage& header, ConstBytes first,
                                        ConstBytes second) const {
  const std::size_t total = kFrameBytes + first.size() + second.size();
  if (total > kBroughtTogether) {
    const std::array<iovec, 3> parts = {part(header), part(first), part(second)};
    return write(parts.data(), parts.size());
  }
  std::array<std::byte, kBroughtTogether> image;
  std::byte* end = image.data();
  for (const ConstBytes bytes : {ConstBytes(header), first, second}) {
    if (!bytes.empty()) std::memcpy(end, bytes.data(), bytes.size());
    end += bytes.size();
  }
  return insist([&] { return ::send(socket_, image.data(), total, kFlags); });
}

SendQueue::Written SendQueue::write(const iovec* parts, std::size_t count) const {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = count;
  return insist([&] { return ::sendmsg(socket_, &message, kFlags); });
}

template <class Call>
SendQueue::Written SendQueue::insist(Call call) {
  for (;;) {
    const ssize_t n = call();
    if (n >= 0) return {.bytes = static_cast<std::size_t>(n)};
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return {};
    if (errno != EINTR) return {.error = errno};
  }
}

void SendQueue::drop_sent(std::size_t bytes) {
  while (bytes > 0) {
    Entry& frame = frames_.front();
    const std::size_t taken = std::min(bytes, frame.total() - frame.sent);
    frame.sent += taken;
    bytes -= taken;
    if (frame.sent == frame.total()) frames_.pop_front();
  }
}

}  // namespace paceline::transport::tcp
