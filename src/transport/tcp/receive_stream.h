// What comes in through one socket, taken apart into frames. Payload is read straight into its
// place; only headers and what happened to arrive with them go through a small buffer.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "transport_tcp/frame.h"

namespace paceline::transport::tcp {

/// Whoever knows what the frames of a stream mean. Any of its methods may throw Error; the stream
/// is then of no further use.
class FrameHandler {
 public:
  enum class Admission : std::uint8_t {
    take,   ///< read its payload
    later,  ///< leave it, and all that follows it, until receive() is called again
  };
  virtual Admission admit(int stream, const Frame& frame) = 0;
  /// Where the payload goes from `offset` on, all the rest of it. Asked before every single read,
  /// because the memory may have been deregistered since the last one.
  virtual std::byte* place(int stream, const Frame& frame, std::size_t offset) = 0;
  virtual void complete(int stream, const Frame& frame) = 0;

 protected:
  ~FrameHandler() = default;
};

class ReceiveStream {
 public:
  /// Holds a message of 16 KiB of data with its headers, which then takes one read; of longer ones
  /// to copy more costs as much as a second read. Each link of each peer has so much memory.
  static constexpr std::size_t kBufferBytes = 17 * 1024;

  /// Does not own the socket. `stream` is handed through to the handler.
  ReceiveStream(int socket, int stream);

  enum class State : std::uint8_t {
    drained,  ///< nothing more for now
    more,     ///< there may be more, but others should have their turn
    held,     ///< the handler said later
    ended,    ///< the peer closed it, or error() says why it broke
  };
  /// Reads and hands out, at most about kTurnBytes.
  [[nodiscard]] State receive(FrameHandler& handler);
  [[nodiscard]] int error() const { return error_; }

 private:
  /// Hands out what is in the buffer; false if held.
  bool consume(FrameHandler& handler);
  void take_payload(FrameHandler& handler);
  void finish_if_complete(FrameHandler& handler);

  int socket_;
  int stream_;
  int error_ = 0;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t begin_ = 0;  ///< [begin_, end_) of the buffer has not been handed out
  std::size_t end_ = 0;
  /// How much is read where a header is next: all of a short frame; after a long one the header
  /// alone, so that the next one's payload is read straight into its place.
  std::size_t ahead_ = kBufferBytes;
  std::optional<Frame> frame_;  ///< the one whose payload is next
  bool admitted_ = false;
  std::size_t offset_ = 0;  ///< how much of its payload is in place
};

}  // namespace paceline::transport::tcp
