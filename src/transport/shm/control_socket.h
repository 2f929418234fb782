// The UNIX socket beside an inbox: frames of fixed size, each with at most one descriptor.
//
// It carries what shared memory cannot: descriptors, and the news that a process has ended. It is
// never on the way of data.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>

#include "base/unique_fd.h"
#include "base/wire.h"

namespace paceline::transport::shm {

/// What a frame says. The numeric values travel on the wire.
enum class FrameType : std::uint8_t {
  hello = 1,   ///< id: nonce, address: of the sender's own inbox, length: of it; with its file
  ready = 2,   ///< the sender has mapped the receiver's inbox
  region = 3,  ///< id, address, length of memory that the sender has registered; with its file
  gone = 4,    ///< no region up to `id` that was not named is to come, and `id` is no more
};

struct Frame {
  FrameType type = FrameType::ready;
  std::uint64_t id = 0;
  std::uint64_t address = 0;
  std::uint64_t length = 0;
};

class ControlSocket {
 public:
  /// Throws Error (transport_failed) if it is not a UNIX socket.
  explicit ControlSocket(UniqueFd socket);

  /// Queues a frame. `fd` is borrowed until the frame is sent or withdrawn; -1 for none.
  void push(const Frame& frame, int fd = -1);
  /// Sends what the socket takes now; returns how many frames are complete. A broken socket takes
  /// everything: receive() will say that it is broken.
  std::uint64_t flush();
  /// True if frames are waiting for room.
  [[nodiscard]] bool waiting() const { return !outgoing_.empty(); }
  /// Turns a region frame that still waits into a gone frame, so that its file is no longer
  /// needed; false if it has been sent.
  bool withdraw(std::uint64_t region_id);

  enum class Status : std::uint8_t { nothing, frame, closed, malformed };
  struct Received {
    Status status = Status::nothing;
    Frame frame = {};
    UniqueFd fd = {};
    pid_t pid = 0;  ///< of the sender, as this process names it; 0 if it cannot
  };
  /// The next frame.
  [[nodiscard]] Received receive();

  [[nodiscard]] int fd() const { return socket_.get(); }
  /// Ends it, for the peer too.
  void close() noexcept;

 private:
  static constexpr std::size_t kFrameBytes = 32;
  struct Outgoing {
    Frame frame;
    int fd;
    Bytes bytes;
    std::size_t sent = 0;
  };
  [[nodiscard]] bool send_front();
  [[nodiscard]] Received take_frame();
  bool read_controls(void* header);

  UniqueFd socket_;
  std::deque<Outgoing> outgoing_;
  std::byte incoming_[kFrameBytes] = {};
  std::size_t received_ = 0;
  UniqueFd incoming_fd_;
  pid_t incoming_pid_ = 0;
};

}  // namespace paceline::transport::shm
