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

/// A put is cut into one piece per link, but none shorter than this. On one machine, where a second
/// stream can gain nothing, two pieces of 64 KiB cost a fifth more processor time than one of 128
/// (24.5 against 20.4 µs, both ends together), pieces of 512 KiB 3 % more; shorter ones would cost
/// more than a network of 10 Gb/s, which takes 52 µs for 64 KiB, gives back.
inline constexpr std::size_t kMinPiece = 64 * 1024;

/// Messages in the peer's mailbox or on the way to it. Announcements of as many operations as
/// anybody has under way; the receiver needs up to this many times kMaxMessage per peer.
inline constexpr std::uint64_t kMailbox = 64;

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
  std::uint64_t messages_credited_ = 0;  ///< the peer has popped so many of them
  std::uint64_t messages_received_ = 0;
  std::uint64_t messages_popped_ = 0;
  std::uint64_t credits_returned_ = 0;  ///< so many of the popped ones the peer was told of
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
