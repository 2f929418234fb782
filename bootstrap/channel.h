// Frames over one non-blocking stream socket, on the service thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/service_thread.h"
#include "base/unique_fd.h"
#include "bootstrap/messages.h"

namespace paceline::bootstrap {

/// Used on the service thread only. Reads exactly one frame at a time and never past its end, so
/// that the socket can be handed on after a handshake. Frames that were sent before the peer's end
/// closed are all delivered before `closed`.
class Channel : public std::enable_shared_from_this<Channel> {
 public:
  struct Events {
    std::function<void(FrameType, ConstBytes)> frame = {};
    /// The stream ended or what came is not ours; why, in words. Called at most once, last.
    std::function<void(const std::string&)> closed = {};
  };

  /// Frames with a payload of more than `limit` bytes are taken for garbage.
  static std::shared_ptr<Channel> open(ServiceClient& service, UniqueFd fd, std::size_t limit,
                                       Events events);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  /// Queues a frame. What cannot be written (the peer is gone) is dropped: reading tells why.
  void send(FrameType type, ConstBytes payload = {});
  /// Delivers no more frames, writes out what is queued, closes our direction, and calls `closed`
  /// when the peer has closed its own. So the last frame is not lost to a reset.
  void finish();
  /// Closes at once; calls nothing.
  void close();
  /// Gives the socket away. Only between frames with nothing queued.
  [[nodiscard]] UniqueFd release();
  void set_events(Events events, std::size_t limit);

  /// Nothing waits to be written.
  [[nodiscard]] bool flushed() const { return sent_ == out_.size(); }
  [[nodiscard]] bool is_open() const { return static_cast<bool>(fd_); }
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// It ended because the other end closed it.
  [[nodiscard]] bool left() const { return left_; }

 private:
  Channel(ServiceClient& service, UniqueFd fd, std::size_t limit, Events events);
  void on_ready(std::uint32_t events);
  void read_frames();
  bool read_some();
  void discard_input();
  bool take_header();
  void write_out();
  void end(const std::string& why);

  ServiceClient& service_;
  UniqueFd fd_;
  std::size_t limit_;
  std::shared_ptr<Events> events_;
  Bytes in_;  // header, then payload, of the frame under way
  std::size_t received_ = 0;
  bool in_payload_ = false;
  Header header_;
  Bytes out_;
  std::size_t sent_ = 0;
  bool write_broken_ = false;
  bool want_write_ = false;
  bool finishing_ = false;
  bool left_ = false;
  std::string farewell_ = "closed";  // what `closed` says after finish()
};

}  // namespace paceline::bootstrap
