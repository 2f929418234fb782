// Our side of the links to one peer.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "paceline/error.h"
#include "transport/transport.h"
#include "transport_tcp/hub.h"
#include "transport_tcp/lane_window.h"
#include "transport_tcp/receive_stream.h"
#include "transport_tcp/send_queue.h"

namespace paceline::transport::tcp {

/// A put is cut into one piece per link, but none shorter than this. Shorter ones would only cost:
/// the puts of a collective's lanes leave by different links anyway, and two pieces of 64 KiB take
/// a fifth more processor time than one of 128 (24.5 against 20.4 µs, both ends together), pieces
/// of 512 KiB 3 % more.
inline constexpr std::size_t kMinPiece = 512 * 1024;

/// Messages in the peer's mailbox or on the way to it, and their bytes together. Announcements of
/// as many operations as anybody has under way; a window that a network of 100 Gb/s fills in the
/// time of a flight. It is what the receiver may have to keep for each peer.
inline constexpr std::uint64_t kMailbox = 64;
inline constexpr std::uint64_t kMailboxBytes = 1024 * 1024;
static_assert(kMailboxBytes >= 2 * kLongestMessage, "half a mailbox has room for a message");

class TcpEndpoint final : public Endpoint, private FrameHandler {
 public:
  TcpEndpoint(std::shared_ptr<Hub> hub, int peer, std::vector<UniqueFd> sockets);
  /// As close(): what the kernel has already taken still reaches the peer.
  ~TcpEndpoint();

  bool send(ConstBytes header, ConstBytes payload) override;
  ConstBytes front() override;
  void pop() override;
  bool put(Lane lane, ConstBytes source, const Registration* registration,
           RemoteAddress target) override;
  bool signal(Lane lane) override { return put(lane, {}, nullptr, {}); }
  std::uint64_t arrived(Lane lane) override;
  bool flushed() override;
  [[nodiscard]] Footprint footprint() const override;
  void close() noexcept override;

  struct Link {
    Link(TcpEndpoint* of, int number, UniqueFd fd)
        : owner(of),
          index(number),
          socket(std::move(fd)),
          out(socket.get()),
          in(socket.get(), number) {}
    TcpEndpoint* owner;
    int index;
    UniqueFd socket;
    SendQueue out;
    ReceiveStream in;
    bool watched = false;  ///< by the hub's epoll
    bool held = false;     ///< its next frame has to wait for another link
  };
  /// There is something to read. Never throws: what breaks is told by the next call.
  void readable(Link& link) noexcept;
  /// Goes on with what does not depend on the peer: queued output, credits, held links.
  void tend() noexcept;
  /// Sockets whose kernel buffers were full.
  void add_blocked(std::vector<pollfd>& descriptors) const;

 private:
  Admission admit(int stream, const Frame& frame) override;
  std::byte* place(int stream, const Frame& frame, std::size_t offset) override;
  void complete(int stream, const Frame& frame) override;
  Admission admit_put(const Frame& frame);

  void watch(Link& link, bool on);
  void receive(Link& link);
  void link_ended(Link& link);
  void flush(Link& link);
  [[nodiscard]] bool credits_due() const {
    return messages_popped_ - credits_returned_ >= kMailbox / 2 ||
           bytes_popped_ >= kMailboxBytes / 2;
  }
  void return_credits();
  void check_sendable() const;
  [[noreturn]] void sending_broke(int error);
  void fail(const Error& error) noexcept;
  void release_links() noexcept;
  void drop_output(Link& link) noexcept;
  void update_restless();
  [[noreturn]] void refuse(const Frame& put);
  [[nodiscard]] Error violation(const std::string& what) const;
  [[nodiscard]] Error lost(int error) const;

  std::shared_ptr<Hub> hub_;
  const int peer_;
  std::deque<Link> links_;  // a Link never moves: epoll knows its address
  std::size_t open_links_;

  std::array<std::uint64_t, kMaxLanes> posted_{};                 ///< puts and signals of ours
  std::array<std::unique_ptr<LaneWindow>, kMaxLanes> windows_{};  ///< made when first needed

  std::uint64_t messages_sent_ = 0;
  std::uint64_t messages_credited_ = 0;            ///< the peer has popped so many of them
  std::uint64_t bytes_under_way_ = 0;              ///< of those that it has not
  std::array<std::uint32_t, kMailbox> lengths_{};  ///< of message i, at i modulo kMailbox
  std::uint64_t messages_received_ = 0;
  std::uint64_t messages_popped_ = 0;
  std::uint64_t credits_returned_ = 0;  ///< so many of the popped ones the peer was told of
  std::uint64_t bytes_popped_ = 0;      ///< since then
  std::uint64_t bytes_waiting_ = 0;     ///< in the mailbox
  std::deque<std::unique_ptr<Message>> mailbox_;
  std::unique_ptr<Message> incoming_;

  /// Links of one peer end together, but what is still under way on one may take its time after
  /// another has ended: until then nothing is lost. 0: none has ended.
  Nanoseconds give_up_at_ = 0;
  int end_reason_ = 0;
  bool restless_ = false;
  bool closed_ = false;
  bool dropped_ = false;                  ///< something that was posted will never leave
  std::optional<Error> send_error_ = {};  ///< nothing can be sent any more
  std::optional<Error> error_ = {};       ///< nor will anything come
};

}  // namespace paceline::transport::tcp
