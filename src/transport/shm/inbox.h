// The inbox: what the two processes of a link share, one for each direction.
//
// It belongs to the receiver, who made it; the peer (the sender) stores into it. Every word has
// one writer, so nothing here is ever a read-modify-write:
//
//   written by the sender     slots, lane counters, and the few words of `Announcements`
//   written by the receiver   `consumed`, and `nonce` before the inbox is given away
//
// A message takes one slot. The slot's first word, the stamp, holds the message's number, place and
// length and is stored last, with release: a receiver that sees the number that it waits for sees
// the message. A message of up to kShortMessage bytes lies in the line of its stamp, so it costs
// one line of traffic. A longer one has its header at the end of that line and its payload from the
// next line on: no line but the first is stored or loaded in two halves. And the first one is
// stored last of all. The receiver looks at it all the time, and would take it away while the
// others are stored, only to give it back for the stamp. The receiver says how far it has come in
// `consumed`; the sender looks there only when, by what it last saw, the ring is full.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/copy.h"
#include "base/hand_over.h"
#include "base/layout.h"
#include "transport/transport.h"

namespace paceline::transport::shm {

/// Messages under way in one direction. An operation has a few per peer; sixteen let a sender run
/// ahead by that many small operations. A power of two, so that finding a slot is a mask.
inline constexpr std::size_t kSlots = 16;
static_assert((kSlots & (kSlots - 1)) == 0);

/// A stamp, from its low bits on: the message's length; how many words behind the stamp's it
/// begins; its number, of which there are 2^48, for years at any rate.
inline constexpr int kLengthBits = 13;
inline constexpr int kPlaceBits = 3;
inline constexpr int kStampBits = kLengthBits + kPlaceBits;
static_assert(kMaxMessage < (std::size_t{1} << kLengthBits));

struct alignas(kLinePair) Slot {
  std::atomic<std::uint64_t> stamp;
  std::byte data[round_up(sizeof(std::uint64_t) + kMaxMessage, kLinePair) - sizeof(std::uint64_t)];
};

/// What fits beside the stamp in the first line.
inline constexpr std::size_t kShortMessage = kCacheLine - sizeof(std::uint64_t);
static_assert(kShortMessage == ((1 << kPlaceBits) - 1) * sizeof(std::uint64_t));
static_assert(sizeof(Slot::data) >= kShortMessage + kMaxMessage, "wherever it begins");

struct Inbox {
  /// Not on the way of data; changes seldom, so a look costs a load from one's own cache.
  struct alignas(kLinePair) Announcements {
    /// How many frames about memory the sender has put on the socket.
    std::atomic<std::uint64_t> frames;
    /// The highest region id that the sender has given out.
    std::atomic<std::uint64_t> registered;
    /// Not zero once the sender has ended the link.
    std::atomic<std::uint64_t> closed;
  };
  struct alignas(kLinePair) Receiver {
    std::atomic<std::uint64_t> consumed;
    /// Proves to a peer who reads it by process_vm_readv that it reads the right process.
    std::uint64_t nonce;
  };
  struct alignas(kLinePair) Counter {
    std::atomic<std::uint64_t> value;
  };

  Announcements announcements;
  Receiver receiver;
  Counter lanes[kMaxLanes];
  Slot slots[kSlots];
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "processes share no lock table");
static_assert(sizeof(Slot) % kLinePair == 0);
static_assert(offsetof(Slot, data) == sizeof(std::uint64_t));

/// The sending end of the ring of slots in the peer's inbox.
class MailboxSender {
 public:
  explicit MailboxSender(Inbox& peer) : inbox_(&peer) {}

  /// False if every slot holds a message that the receiver has not popped. `apart`: it reads on
  /// another core, as far as is known.
  bool send(ConstBytes header, ConstBytes payload, bool apart = true) {
    if (sent_ - consumed_ == kSlots) {
      consumed_ = inbox_->receiver.consumed.load(std::memory_order_acquire);
      // A peer that breaks its own counter must not make us overwrite what it has not read.
      if (sent_ - consumed_ >= kSlots) {
        consumed_ = sent_ - kSlots;
        return false;
      }
    }
    Slot& slot = inbox_->slots[sent_ & (kSlots - 1)];
    const std::size_t length = header.size() + payload.size();
    const bool in_lines = length > kShortMessage && header.size() <= kShortMessage;
    const std::uint64_t words =
        in_lines ? (kShortMessage - header.size()) / sizeof(std::uint64_t) : 0;
    std::byte* const to = slot.data + words * sizeof(std::uint64_t);
    if (in_lines && apart) {
      hand_over(to + header.size(), payload.data(), payload.size());
    } else {
      copy_short(to + header.size(), payload.data(), payload.size());
    }
    copy_short(to, header.data(), header.size());
    ++sent_;
    slot.stamp.store(sent_ << kStampBits | words << kLengthBits | length,
                     std::memory_order_release);
    return true;
  }

 private:
  Inbox* inbox_;
  std::uint64_t sent_ = 0;
  std::uint64_t consumed_ = 0;  // as last seen
};

/// The receiving end of the ring of slots in our own inbox.
class MailboxReceiver {
 public:
  explicit MailboxReceiver(Inbox& own) : inbox_(&own) {}

  /// The oldest message, empty if there is none. Its length is what the peer wrote: it may exceed
  /// kMaxMessage, and then must not be read.
  ConstBytes front() const {
    const Slot& slot = inbox_->slots[consumed_ & (kSlots - 1)];
    const std::uint64_t stamp = slot.stamp.load(std::memory_order_acquire);
    if (stamp >> kStampBits != consumed_ + 1) return {};
    const std::uint64_t words = stamp >> kLengthBits & ((1 << kPlaceBits) - 1);
    return {slot.data + words * sizeof(std::uint64_t),
            stamp & ((std::uint64_t{1} << kLengthBits) - 1)};
  }
  void pop() {
    ++consumed_;
    inbox_->receiver.consumed.store(consumed_, std::memory_order_release);
  }

 private:
  Inbox* inbox_;
  std::uint64_t consumed_ = 0;
};

}  // namespace paceline::transport::shm
