#include "patience.h"

#include <immintrin.h>
#include <sched.h>

namespace paceline::torch_backend {

namespace {

using Clock = std::chrono::steady_clock;

/// A call of 64 KiB is over within this time; who waits longer waits for a peer that computes.
constexpr auto kSpin = std::chrono::microseconds(30);
/// Between two looks at the clock, which cost as much as three turns.
constexpr unsigned kSpinsPerLook = 16;
/// Skew of ranks that compute the same thing; after that, sleep.
constexpr auto kAwake = std::chrono::milliseconds(2);
/// A yield that nobody makes use of takes half a microsecond, one that somebody does a slice of
/// the scheduler's, which is a millisecond or more.
constexpr auto kYieldTaken = std::chrono::microseconds(20);
/// To sleep and wake costs about 8 us of the core: a tenth of it at this length.
constexpr auto kSleep = std::chrono::microseconds(80);

}  // namespace

void Patience::pause() {
  if (spinning_ && ++looks_ % kSpinsPerLook != 0) {
    _mm_pause();
    return;
  }
  const auto now = Clock::now();
  if (since_ == Clock::time_point{}) since_ = now;
  const auto waited = now - since_;
  if (spinning_ && waited < kSpin) return;
  spinning_ = false;
  if (crowded_ || waited > kAwake) {
    std::this_thread::sleep_for(kSleep);
    return;
  }
  ::sched_yield();
  crowded_ = Clock::now() - now > kYieldTaken;
}

}  // namespace paceline::torch_backend
