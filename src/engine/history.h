// The flight recorder: a ring of the last calls, with the times at which they were made, started
// and finished. The log quotes it beside an error, and a trace is written from it. (What late
// messages are held against, and other threads may read, is in vitals.h.)
//
// It is always on, so it must cost next to nothing beside an all_reduce of half a microsecond. A
// record is one cache line. Times are read off the processor's counter (base/ticks.h), at 12 ns a
// read: once when a call is made, and once more at its end if it had to wait. One that was done
// before anybody looked at the clock took less than a microsecond, and that is said of it. In
// virtual time, too, the times are the machine's own.
//
// Threads: the owner of progress only.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "base/layout.h"
#include "base/ticks.h"
#include "engine/call.h"
#include "paceline/history.h"

namespace paceline::engine {

/// A call that was made.
struct alignas(kCacheLine) PastCall {
  std::uint64_t sequence = Error::kNoSequence;
  Call call = {};
  Ticks submitted = 0;
  Ticks started = 0;   ///< 0: not yet, or when submitted
  Ticks finished = 0;  ///< 0: not yet, or at once
  std::int32_t waited_for = Error::kNoRank;
  std::uint32_t waited_us = 0;
  Outcome outcome = Outcome::queued;
};
static_assert(sizeof(PastCall) == kCacheLine);

class History {
 public:
  /// What Config::history is by default.
  static constexpr std::size_t kDefaultLength = 256;

  explicit History(std::size_t length);

  /// The call after the last one is made. `first`: none is before it, so it starts at once.
  void submit(std::uint64_t sequence, const Call& call, bool first) {
    slot(sequence) = {.sequence = sequence,
                      .call = call,
                      .submitted = clock_.now(),
                      .outcome = first ? Outcome::running : Outcome::queued};
    next_ = sequence + 1;
  }
  /// Number `sequence` has finished; the one after it, if it was made, starts. `quick`: nobody has
  /// looked at the clock since it started.
  void finish(std::uint64_t sequence, int waited_for, Outcome outcome, bool quick) {
    finished_ = sequence + 1;
    // Of most small calls that is all: they are running, and below finished_.
    if (quick && finished_ == next_) return;
    finish_slowly(sequence, waited_for, outcome);
  }
  /// Number `sequence` had not moved for `time`, for want of `peer`.
  void waited(std::uint64_t sequence, int peer, Nanoseconds time);

  /// What was called as number `sequence`; null if it is not known any more or not yet.
  [[nodiscard]] const PastCall* at(std::uint64_t sequence) const {
    const PastCall& past = ring_[sequence & mask_];
    return past.sequence == sequence && sequence < next_ ? &past : nullptr;
  }
  /// Oldest first.
  [[nodiscard]] std::vector<OperationRecord> records() const;

 private:
  void finish_slowly(std::uint64_t sequence, int waited_for, Outcome outcome);
  PastCall& slot(std::uint64_t sequence) { return ring_[sequence & mask_]; }

  std::size_t length_;
  std::vector<PastCall> ring_;  ///< a power of two of them: finding one must not take a division
  std::uint64_t mask_;
  std::uint64_t next_ = 0;
  std::uint64_t finished_ = 0;  ///< calls before this number have ended
  TickClock clock_;
};

}  // namespace paceline::engine
