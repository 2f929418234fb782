// What is to leave through one socket: whole frames, in the order they were posted.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <deque>

#include "base/wire.h"
#include "transport_tcp/frame.h"

namespace paceline::transport::tcp {

/// As many bytes as go into or out of one socket before another gets its turn: long enough that
/// the system call costs nothing beside the copy, short enough that the directions of a ring
/// alternate while both are in cache.
inline constexpr std::size_t kTurnBytes = 256 * 1024;

class SendQueue {
 public:
  /// Does not own the socket.
  explicit SendQueue(int socket) : socket_(socket) {}

  /// True if no more may be posted. Frames hold their payload by reference, so this bounds
  /// nothing but the time until the last one leaves.
  [[nodiscard]] bool full() const { return frames_.size() >= kMaxFrames; }
  [[nodiscard]] bool empty() const { return frames_.empty(); }

  /// Writes as much as the kernel takes at once and queues the rest. `payload` must stay as it is
  /// until empty(). Returns 0, or the errno with which the stream broke.
  [[nodiscard]] int post(const Frame& frame, ConstBytes payload);
  /// The same, but what has to be queued is copied. The payload comes in two parts.
  [[nodiscard]] int post_copy(const Frame& frame, ConstBytes first, ConstBytes second);
  /// Writes what the kernel takes, at most about kTurnBytes. Returns as post().
  [[nodiscard]] int flush();
  void clear() { frames_.clear(); }

 private:
  /// Bounded by what a lane's pipeline can use; a caller that gets false asks again anyway.
  static constexpr std::size_t kMaxFrames = 256;

  struct Entry {
    FrameImage header;
    ConstBytes payload;
    std::size_t sent = 0;  ///< of header and payload together
    Bytes copy = {};       ///< what payload refers to, if it was copied
    [[nodiscard]] std::size_t total() const { return kFrameBytes + payload.size(); }
  };
  /// Result of one system call: bytes taken by the kernel, or the errno of a broken stream.
  struct Written {
    std::size_t bytes = 0;
    int error = 0;
  };
  [[nodiscard]] Written write(const iovec* parts, std::size_t count) const;
  [[nodiscard]] Written write_now(const FrameImage& header, ConstBytes first,
                                  ConstBytes second) const;
  /// Makes the system call until no signal interrupts it.
  template <class Call>
  [[nodiscard]] static Written insist(Call call);
  void drop_sent(std::size_t bytes);

  int socket_;
  std::deque<Entry> frames_;
};

}  // namespace paceline::transport::tcp
