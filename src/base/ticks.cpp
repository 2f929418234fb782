#include "base/ticks.h"

#include <cpuid.h>

namespace paceline {

namespace {

// CPUID 0x80000007, EDX bit 8: "invariant TSC".
bool counter_is_invariant() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d >> 8 & 1) != 0;
}

}  // namespace

TickClock::TickClock() : counter_(counter_is_invariant()) {
  first_ticks_ = now();
  first_nanoseconds_ = steady_now();
}

TickClock::Converter TickClock::converter() const {
  Converter converter;
  converter.ticks_ = first_ticks_;
  converter.nanoseconds_ = first_nanoseconds_;
  const Ticks ticks = now() - first_ticks_;
  const Nanoseconds nanoseconds = steady_now() - first_nanoseconds_;
  if (counter_ && ticks > 0) {
    converter.per_tick_ = static_cast<double>(nanoseconds) / static_cast<double>(ticks);
  }
  return converter;
}

}  // namespace paceline
