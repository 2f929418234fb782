// Our side of a link over one queue pair.
//
// Puts are RDMA WRITEs with a notification behind the last of them that says the lane (notify.h):
// the peer's device completes it only after everything before it on the queue pair is in memory, so
// one completion is one put that is visible. A signal is such a notification alone. Messages are
// written into a ring of slots at the peer in the same way. Each takes one receive at the peer, and
// none is sent that the peer has not announced a receive for; see flow.h.
//
// Each endpoint has a completion queue of its own: it is sized for this one queue pair and can
// never overflow, whoever comes and goes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/layout.h"
#include "paceline/error.h"
#include "transport/transport.h"
#include "transport_verbs/cm_link.h"
#include "transport_verbs/device.h"
#include "transport_verbs/flow.h"
#include "transport_verbs/ibv_handles.h"
#include "transport_verbs/immediate.h"
#include "transport_verbs/notify_choice.h"
#include "transport_verbs/qp_info.h"
#include "transport_verbs/queue_pair.h"
#include "transport_verbs/verbs_transport.h"

namespace paceline::transport::verbs {

/// Slots keep whole lines to themselves.
inline constexpr std::size_t kSlotStride = round_up(kMaxMessage, kCacheLine);

/// A put without a registration is copied if it is at most this long: about where copying (10 GB/s)
/// takes as long as pinning the pages does (1-2 us and more), and longer ones are registered for
/// the time of the put. 128 KiB of copies may be under way.
inline constexpr std::size_t kMostBounced = 16 * 1024;
inline constexpr std::uint32_t kBounceBytes = 128 * 1024;

/// Gives pages back.
struct Unmapper {
  std::size_t length = 0;
  void operator()(std::byte* memory) const noexcept;
};

class VerbsEndpoint final : public Endpoint {
 public:
  /// Makes the queue pair, in INIT. `network`: the one over which the ends met, if known. `ways`:
  /// of notifying, that this end offers.
  VerbsEndpoint(std::shared_ptr<Device> device, const VerbsOptions& options, int peer, Role role,
                std::optional<Ipv4Network> network, NotifyWays ways);
  ~VerbsEndpoint() override;
  VerbsEndpoint(const VerbsEndpoint&) = delete;
  VerbsEndpoint& operator=(const VerbsEndpoint&) = delete;

  // --- making the link, by the connector -------------------------------------------------------
  [[nodiscard]] QpInfo info() const;
  /// Posts the receives; RTR and RTS, or the beginning of what the connection manager does. Throws
  /// if the peer's port is of another kind or connects in another way, or if there is no way of
  /// notifying that both can go.
  void connect_to(const QpInfo& peer);
  /// Goes on with that; true once packets are taken and may be sent.
  [[nodiscard]] bool is_connected() { return !manager_ || manager_->poll(); }
  /// True if nothing may be sent before something was heard.
  [[nodiscard]] bool must_hear_first() const { return manager_ && manager_->must_hear_first(); }
  /// Tries the path, and the way of notifying, with a packet of full size: a wrong GID or MTU shows
  /// here and not as a hang. Does not throw: the answers are below, as progress brings them.
  void say_hello();
  [[nodiscard]] bool said_hello() const { return !broken_ && sends_.done() >= hello_number_; }
  [[nodiscard]] bool heard_hello() const { return hello_heard_; }
  /// The link is broken, for another reason than that nobody answers: a device may have refused the
  /// notification.
  [[nodiscard]] bool refused_hello() const { return broken_ && !unanswered_; }
  /// Throws why the link cannot be used, if it cannot.
  void check_usable() const;
  [[nodiscard]] Notify notify_way() const { return way_; }
  /// From now on the end of the socket is the end of the peer.
  void keep_socket(UniqueFd socket) { socket_ = std::move(socket); }

  // --- progress, by the transport --------------------------------------------------------------
  /// True if there was news.
  bool poll();
  /// Looks whether the peer has hung up.
  void check_socket();
  /// Asks for a wake-up with the next completion.
  void arm();
  [[nodiscard]] int socket() const { return socket_.get(); }
  [[nodiscard]] bool owns(const ibv_qp* pair) const { return pair_ && pair == pair_.get(); }
  [[nodiscard]] bool owns(const ibv_cq* queue) const {
    return completions_ && queue == completions_.get();
  }
  /// The link is broken; the first reason stays.
  void fail(const std::string& why);
  [[nodiscard]] int peer() const { return peer_; }

  // --- Endpoint ----------------------------------------------------------------------------------
  bool send(ConstBytes header, ConstBytes payload) override;
  ConstBytes front() override;
  void pop() override;
  bool put(Lane lane, ConstBytes source, const Registration* registration,
           RemoteAddress target) override;
  bool signal(Lane lane) override;
  std::uint64_t arrived(Lane lane) override;
  bool flushed() override;
  [[nodiscard]] Footprint footprint() const override {
    return {sizeof *this + memory_.get_deleter().length, (socket_ ? 1 : 0) + (manager_ ? 1 : 0)};
  }
  void close() noexcept override;

 private:
  /// A put that is being posted, a piece at a time.
  struct Put {
    const std::byte* source = nullptr;
    std::uint64_t left = 0;
    std::uint64_t target = 0;
    std::uint32_t remote_key = 0;
    std::uint32_t local_key = 0;
    bool is_inline = false;
    bool is_copied = false;
    Lane lane = 0;
  };
  /// Memory that a put was given out of ours, until its request is done.
  struct Loan {
    std::uint64_t number = 0;
    RegionHandle region = {};       ///< registered for this put alone
    std::uint64_t bounce_mark = 0;  ///< or copied: release up to here
  };

  void make_memory();
  void post_receives(std::uint32_t count);
  std::uint64_t post(Posting& posting, bool want_completion);
  void notify(Immediate immediate);
  void continue_put();
  bool lend_source(ConstBytes source, const Registration* registration);
  void return_loans();
  void send_credits();
  void on_completion(const ibv_wc& completion);
  void on_notification(Immediate immediate);
  void on_failure(const ibv_wc& completion);
  void check_lane(Lane lane) const;
  [[nodiscard]] bool may_notify() const {
    return !flush_seen_ && sends_.has_room(notifier_->requests()) && notified_ < allowed_;
  }
  [[nodiscard]] bool is_iwarp() const { return device_->port().kind == LinkKind::iwarp; }
  void see_flush();
  void check_agreement(const QpInfo& peer) const;
  void post_last();
  [[nodiscard]] bool peer_hung_up() const;
  void drain() noexcept;
  [[nodiscard]] std::string link_text() const;

  std::shared_ptr<Device> device_;
  VerbsOptions options_;
  int peer_;
  GidEntry gid_;
  UniqueFd socket_;

  // Memory before regions before the queue pair that uses them; the queue pair goes first.
  std::unique_ptr<std::byte, Unmapper> memory_;
  std::byte* inbox_ = nullptr;   ///< slots that the peer writes
  std::byte* outbox_ = nullptr;  ///< slots that messages are written from
  std::byte* bounce_ = nullptr;
  std::byte* notes_ = nullptr;  ///< what receives and sends of notifications are made from
  RegionHandle inbox_region_;
  RegionHandle own_region_;  ///< all the rest, which the peer cannot write into
  std::deque<Loan> loans_;
  CompletionQueueHandle completions_;
  QueuePairShape shape_;
  std::unique_ptr<CmLink> manager_;  ///< its connection lasts as long as the queue pair
  QueuePairHandle pair_;

  std::uint32_t packet_number_ = 0;
  std::uint32_t max_piece_ = 0;
  std::uint32_t slots_ = 0;  ///< of each direction's ring: what both ends have
  QpInfo far_;

  NotifyWays ways_;
  Notify way_ = Notify::write_with_immediate;
  std::unique_ptr<Notifier> notifier_;
  std::uint64_t receives_posted_ = 0;

  SendQueue sends_;
  ReceiveQueue receives_;
  BounceRing bounce_ring_;
  std::optional<Put> current_;
  std::uint64_t source_needed_until_ = 0;  ///< number of the last request that reads a source
  std::uint64_t notified_ = 0;
  std::uint64_t allowed_ = 0;
  std::uint64_t messages_sent_ = 0;
  std::uint64_t messages_freed_ = 0;

  std::array<std::uint64_t, kMaxLanes> arrived_ = {};
  std::vector<std::uint16_t> lengths_;  ///< of the messages in the slots
  std::uint64_t messages_received_ = 0;
  std::uint64_t messages_popped_ = 0;

  std::uint64_t hello_number_ = 0;
  bool hello_heard_ = false;
  bool flush_seen_ = false;
  Nanoseconds flush_seen_at_ = 0;
  bool unanswered_ = false;
  bool closed_ = false;
  std::optional<Error> broken_;
  std::optional<Error> hung_up_;
};

}  // namespace paceline::transport::verbs
