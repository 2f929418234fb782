// Time for whoever must not pay for a look at the clock: the processor's own counter, which costs a
// third of it, turned into the monotonic clock's time when somebody asks.
//
// The counter ticks evenly and alike on all cores where the processor says that it is invariant, as
// all of the last fifteen years do; elsewhere ticks are the clock's own nanoseconds.
#pragma once

#include <x86intrin.h>

#include <cstdint>

#include "base/clock.h"

namespace paceline {

using Ticks = std::uint64_t;

class TickClock {
 public:
  TickClock();
  [[nodiscard]] Ticks now() const {
    return counter_ ? __rdtsc() : static_cast<Ticks>(steady_now());
  }

  /// Turns ticks since this clock was made into steady_now()'s time. By what has passed on both
  /// until now: take one for all that is to be compared.
  class Converter {
   public:
    [[nodiscard]] Nanoseconds operator()(Ticks ticks) const {
      const auto since = static_cast<double>(static_cast<std::int64_t>(ticks - ticks_));
      return nanoseconds_ + static_cast<Nanoseconds>(since * per_tick_);
    }

   private:
    friend class TickClock;
    Ticks ticks_ = 0;
    Nanoseconds nanoseconds_ = 0;
    double per_tick_ = 1;
  };
  [[nodiscard]] Converter converter() const;

 private:
  bool counter_;
  Ticks first_ticks_ = 0;
  Nanoseconds first_nanoseconds_ = 0;
};

}  // namespace paceline
