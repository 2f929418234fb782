// How a link tells the peer that what was put is there. There are two ways; one is agreed on when
// the link is made (notify_choice.h), and the endpoint asks no further which.
//
// write_with_immediate: the last write of a put carries the 32 bits of an Immediate.
// write_then_send: the write is followed, on the same queue pair, by a SEND of those 32 bits as
// four bytes in network order. It lands in a slot of ours that the receive named.
//
// Either way one receive completes at the peer for each notification, after all that was written
// before it is in memory (docs/design/transport.md says by which rule), so flow control does not
// depend on the way.
#pragma once

#include <infiniband/verbs.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "transport_verbs/immediate.h"

namespace paceline::transport::verbs {

/// The values are bits of QpInfo::notify_ways.
enum class Notify : std::uint8_t { write_with_immediate = 1, write_then_send = 2 };

/// Bytes of a notification that is a SEND. They lie next to each other: the reader takes them one
/// after the other, sixteen to a cache line.
inline constexpr std::uint32_t kNoteBytes = sizeof(std::uint32_t);

/// Requests that are handed to the device together: at most a write and what tells of it. They
/// point at each other, so it stays where it is made.
struct Posting {
  Posting() = default;
  Posting(const Posting&) = delete;
  Posting& operator=(const Posting&) = delete;

  std::array<ibv_send_wr, 2> requests;  ///< the first `count` are filled
  std::size_t count = 0;
  ibv_sge payload;
  ibv_sge note;

  ibv_send_wr& add(ibv_wr_opcode opcode) {
    ibv_send_wr& request = requests[count++];
    request = {};
    request.opcode = opcode;
    return request;
  }
  /// A write of `piece`; of nothing if it has no length.
  void write(const ibv_sge& piece, std::uint64_t address, std::uint32_t key, bool is_inline) {
    ibv_send_wr& request = add(IBV_WR_RDMA_WRITE);
    request.wr.rdma.remote_addr = address;
    request.wr.rdma.rkey = key;
    if (piece.length == 0) return;
    payload = piece;
    request.sg_list = &payload;
    request.num_sge = 1;
    if (is_inline) request.send_flags = IBV_SEND_INLINE;
  }
};

/// What the two ways need of the link.
struct NotifyPlaces {
  std::uint64_t peer_address = 0;    ///< memory of the peer that a write of nothing may name
  std::uint32_t peer_key = 0;        ///
  std::byte* incoming = nullptr;     ///< kNoteBytes for each receive
  std::byte* outgoing = nullptr;     ///< kNoteBytes for each request of the send queue
  std::uint32_t outgoing_slots = 0;  ///
  std::uint32_t local_key = 0;       ///< of both
  std::uint32_t inline_bytes = 0;    ///< that the queue pair takes
};

class Notifier {
 public:
  virtual ~Notifier() = default;

  /// Slots of the send queue that the last write of a put and its notification take.
  [[nodiscard]] virtual std::uint32_t requests() const = 0;
  /// Adds what tells `note`, after the write in `posting` or after none.
  virtual void tell(Posting& posting, Immediate note) = 0;
  /// Names the memory, if any, of the receive number `slot`; `piece` lives as long as `receive`.
  virtual void prepare(ibv_recv_wr& receive, ibv_sge& piece, std::uint32_t slot) const = 0;
  /// What the receive number `slot` says that completed; empty if it is no notification of ours.
  [[nodiscard]] virtual std::optional<Immediate> read(const ibv_wc& completion,
                                                      std::uint32_t slot) const = 0;
};

std::unique_ptr<Notifier> make_notifier(Notify way, const NotifyPlaces& places);

}  // namespace paceline::transport::verbs
