#include "engine/waiter.h"

namespace paceline::engine {

Pause Waiter::look() {
  now_ = steady_now();
  if (since_ == 0) since_ = now_;
  const Nanoseconds waited = now_ - since_;
  spinning_ = !crowded_ && waited < kSpinTime;
  if (waited >= kAwakeTime) return Pause::sleep;
  return spinning_ ? Pause::spin : Pause::yield;
}

Nanoseconds Waiter::sleep_length() {
  const Nanoseconds length = sleep_;
  sleep_ = std::min(2 * sleep_, longest_);
  return length;
}

}  // namespace paceline::engine
