// What a rank is doing, so that other threads can read it at any moment without stopping it: which
// calls it has entered and left, and where the one in front stands.
//
// The owner of progress writes; that costs an entered call a few plain stores. Where an operation
// stands is only written while it does not move, when there is time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "engine/call.h"
#include "engine/message_call.h"
#include "paceline/error.h"

namespace paceline::engine {

/// Where an operation stands. Only ever moves down.
enum class Phase : std::uint8_t {
  linking,     ///< queued, or waiting for the links to its peers
  announcing,  ///< telling the peers
  running,     ///< steps
  flushing,    ///< steps are done; puts may still need their sources
  done,
  failed,
};

class Vitals {
 public:
  /// Calls remembered: a rank that runs ahead of a late one can still say what it called. Eager
  /// calls let ranks drift apart by as many as a wire has message slots, a few dozen.
  static constexpr std::size_t kCalls = 64;

  /// Where the operation in front has stopped.
  struct Stand {
    Nanoseconds since = 0;  ///< steady clock; 0 while it moves
    Phase phase = Phase::linking;
    int waiting_for = Error::kNoRank;
    std::uint64_t step = 0;   ///< of the lane that is furthest behind
    std::uint64_t steps = 0;  ///< over all instances of that lane; 0 if not known yet
  };

  /// The send or recv that has waited longest.
  struct MessageStand {
    Nanoseconds since = 0;  ///< steady clock; 0: none waits
    MessageCall call = {};
  };

  // --- the owner of progress
  void enter(std::uint64_t sequence, const Call& call) {
    Slot& slot = slots_[sequence % kCalls];
    // A reader that sees a new word also sees that the number is not the old one any more.
    slot.sequence.store(Error::kNoSequence, std::memory_order_relaxed);
    slot.word.store(call.word(), std::memory_order_release);
    slot.count.store(call.count, std::memory_order_release);
    slot.sequence.store(sequence, std::memory_order_release);
    entered_.store(sequence + 1, std::memory_order_release);
  }
  void leave() {
    finished_.store(finished_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  void moved() { since_.store(0, std::memory_order_relaxed); }
  void stopped(const Stand& stand) {
    phase_.store(stand.phase, std::memory_order_relaxed);
    waiting_for_.store(stand.waiting_for, std::memory_order_relaxed);
    step_.store(stand.step, std::memory_order_relaxed);
    steps_.store(stand.steps, std::memory_order_relaxed);
    since_.store(stand.since, std::memory_order_release);
  }

  /// A send or recv was called.
  void message_called() {
    messages_.store(messages_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  void message_waits(const MessageStand& stand);

  // --- any thread
  /// How many calls have been made; how many of them, the first ones, are finished.
  [[nodiscard]] std::uint64_t entered() const { return entered_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t finished() const { return finished_.load(std::memory_order_acquire); }
  [[nodiscard]] Nanoseconds stopped_since() const { return since_.load(std::memory_order_acquire); }
  [[nodiscard]] Stand stand() const {
    return {since_.load(std::memory_order_acquire), phase_.load(std::memory_order_relaxed),
            waiting_for_.load(std::memory_order_relaxed), step_.load(std::memory_order_relaxed),
            steps_.load(std::memory_order_relaxed)};
  }
  /// How many sends and recvs were called.
  [[nodiscard]] std::uint64_t messages() const { return messages_.load(std::memory_order_acquire); }
  [[nodiscard]] MessageStand message_stand() const;
  /// What was called as number `sequence`; nothing if not yet, or too long ago.
  [[nodiscard]] std::optional<Call> call_at(std::uint64_t sequence) const {
    const Slot& slot = slots_[sequence % kCalls];
    if (slot.sequence.load(std::memory_order_acquire) != sequence) return std::nullopt;
    const std::uint64_t word = slot.word.load(std::memory_order_acquire);
    const std::uint64_t count = slot.count.load(std::memory_order_acquire);
    if (slot.sequence.load(std::memory_order_relaxed) != sequence) return std::nullopt;
    return Call::from_words(word, count);
  }

 private:
  struct Slot {
    std::atomic<std::uint64_t> sequence{Error::kNoSequence};
    std::atomic<std::uint64_t> word{0};
    std::atomic<std::uint64_t> count{0};
  };
  std::array<Slot, kCalls> slots_;
  std::atomic<std::uint64_t> entered_{0};
  std::atomic<std::uint64_t> finished_{0};
  std::atomic<Nanoseconds> since_{0};
  std::atomic<Phase> phase_{Phase::linking};
  std::atomic<int> waiting_for_{Error::kNoRank};
  std::atomic<std::uint64_t> step_{0};
  std::atomic<std::uint64_t> steps_{0};

  std::atomic<std::uint64_t> messages_{0};
  /// The words of a MessageStand; they belong together if the number before them is even, and the
  /// same after they were read.
  std::atomic<std::uint64_t> message_version_{0};
  std::array<std::atomic<std::uint64_t>, 4> message_words_{};
};

}  // namespace paceline::engine
