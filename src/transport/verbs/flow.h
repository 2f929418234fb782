// Arithmetic of flow control, apart from any device: slots of the send queue, and notifications
// that the peer can take.
#pragma once

#include <algorithm>
#include <cstdint>

namespace paceline::transport::verbs {

/// A send queue takes `depth` requests. The device frees the slots of requests that ask for no
/// completion only when a later one completes that did ask, so the slots are counted here, and one
/// request in a while is made to ask: 64 is enough to make completions rare, and a quarter of the
/// queue keeps it from ever running full of requests that nothing will free.
class SendQueue {
 public:
  SendQueue() = default;
  explicit SendQueue(std::uint32_t depth)
      : depth_(depth), period_(std::clamp<std::uint32_t>(depth / 4, 1, 64)) {}

  [[nodiscard]] bool has_room(std::uint32_t requests = 1) const {
    return posted_ - done_ + requests <= depth_;
  }

  struct Ticket {
    std::uint64_t number = 0;  ///< travels as wr_id; counts from 1
    bool signalled = false;
  };
  /// The next request. `wanted`: its completion matters to the caller.
  Ticket take(bool wanted) {
    ++posted_;
    const bool signalled = wanted || posted_ - signalled_ >= period_;
    if (signalled) signalled_ = posted_;
    return {posted_, signalled};
  }

  /// A completion said `number`: it and all before it are done. False if it cannot be.
  [[nodiscard]] bool complete(std::uint64_t number) {
    if (number <= done_ || number > posted_) return false;
    done_ = number;
    return true;
  }

  [[nodiscard]] std::uint64_t done() const { return done_; }
  [[nodiscard]] bool idle() const { return done_ == posted_; }
  /// True if the last request will complete by itself.
  [[nodiscard]] bool last_is_signalled() const { return signalled_ == posted_; }

 private:
  std::uint32_t depth_ = 0;
  std::uint32_t period_ = 1;
  std::uint64_t posted_ = 0;
  std::uint64_t signalled_ = 0;
  std::uint64_t done_ = 0;
};

/// The receiver's half of flow control. Every notification takes one of our receives. Those that
/// carry data (puts, signals, messages) the peer may only send against credit; those that carry
/// credits need none, or two ranks that wait for each other's credit would wait for ever. Instead
/// a reserve of receives is kept for them.
///
/// How large: with `receives` for data, credits are sent for at least a quarter of them, or for a
/// quarter of the message slots, so of each at most 4 can be under way that the peer has not seen
/// (it can only use up what it has seen). And up to a batch of receives may be waiting to be
/// posted again. 8 + 15 < kReserve.
class ReceiveQueue {
 public:
  static constexpr std::uint32_t kReserve = 32;
  /// Receives are posted again in batches: a doorbell costs as much as several of them.
  static constexpr std::uint32_t kBatch = 16;

  ReceiveQueue() = default;
  ReceiveQueue(std::uint32_t receives, std::uint32_t message_slots)
      : quarter_(receives / 4),
        slot_quarter_(message_slots / 4),
        batch_(std::min(kBatch, quarter_)) {}

  void took_data() { ++taken_data_; }
  void took_credits() { ++taken_credits_; }
  void freed_slot() { ++freed_slots_; }

  /// How many receives to post now; 0 if it is not worth it yet.
  [[nodiscard]] std::uint32_t to_post() const {
    const std::uint32_t taken = taken_data_ + taken_credits_;
    return taken >= batch_ ? taken : 0;
  }
  void posted() {
    grant_ += taken_data_;
    taken_data_ = 0;
    taken_credits_ = 0;
  }

  /// True if the peer should hear of its new credit.
  [[nodiscard]] bool owes_credits() const {
    return grant_ >= quarter_ || freed_slots_ >= slot_quarter_;
  }
  struct Credits {
    std::uint32_t receives = 0;
    std::uint32_t slots = 0;
  };
  Credits take_credits() {
    const Credits credits{grant_, freed_slots_};
    grant_ = 0;
    freed_slots_ = 0;
    return credits;
  }

 private:
  std::uint32_t quarter_ = 1;
  std::uint32_t slot_quarter_ = 1;
  std::uint32_t batch_ = 1;
  std::uint32_t taken_data_ = 0;
  std::uint32_t taken_credits_ = 0;
  std::uint32_t grant_ = 0;
  std::uint32_t freed_slots_ = 0;
};

/// Memory that short puts without a registration are copied through: a ring of bytes, freed in the
/// order in which it was taken.
class BounceRing {
 public:
  BounceRing() = default;
  explicit BounceRing(std::uint32_t capacity) : capacity_(capacity) {}

  /// Where `size` bytes in one piece are free; kNone if nowhere. end() is then the mark up to
  /// which to release once they are not needed any more.
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  std::uint32_t take(std::uint32_t size) {
    std::uint64_t at = end_;
    const std::uint64_t left = capacity_ - at % capacity_;
    if (left < size) at += left;  // not around the corner
    if (at + size - begin_ > capacity_) return kNone;
    end_ = at + size;
    return static_cast<std::uint32_t>(at % capacity_);
  }
  [[nodiscard]] std::uint64_t end() const { return end_; }
  void release(std::uint64_t mark) { begin_ = mark; }

 private:
  std::uint64_t capacity_ = 1;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace paceline::transport::verbs
