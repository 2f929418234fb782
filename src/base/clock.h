// Time as the library counts it: nanoseconds of a monotonic clock, passed in from outside so that
// everything below the Communicator can run in virtual time.
#pragma once

#include <chrono>
#include <cstdint>

namespace paceline {

/// Nanoseconds since some fixed point. Only differences mean anything.
using Nanoseconds = std::int64_t;

inline constexpr Nanoseconds kMillisecond = 1'000'000;
inline constexpr Nanoseconds kSecond = 1'000'000'000;

inline Nanoseconds steady_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace paceline
