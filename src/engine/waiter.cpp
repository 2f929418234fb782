#include "engine/waiter.h"

#include <algorithm>

namespace paceline::engine {

Pause Waiter::look() {
  now_ = steady_now();
  if (since_ == 0) since_ = now_;
  const Nanoseconds waited = now_ - since_;
  if (waited >= kAwakeTime) return Pause::sleep;
  return crowded_ || waited >= kSpinTime ? Pause::yield : Pause::spin;
}

Nanoseconds Waiter::sleep_length() {
  const Nanoseconds length = sleep_;
  sleep_ = std::min(2 * sleep_, kLongestSleep);
  return length;
}

}  // namespace paceline::engine
