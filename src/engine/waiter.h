// How to wait for something that another process does: spin briefly, then give the core away,
// then sleep.
//
// On a core of one's own, spinning notices a peer in a cache line's flight time, and two
// milliseconds of it cover the skew between ranks that compute the same thing. Where ranks
// outnumber cores, or others want this core, the peer may not be able to move while we spin: yield
// at once. Whoever still waits after that waits for something slow, and costs nobody anything by
// sleeping.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace paceline::engine {

enum class Pause : std::uint8_t { spin, yield, sleep };

class Waiter {
 public:
  /// Turns between two looks at the clock while spinning: a look costs about 25 ns, a turn 10. Once
  /// spinning is over every turn looks, and gives the core away: the peer may need this very core.
  static constexpr std::uint32_t kSpinsPerLook = 64;
  /// How long to spin, and to spin and yield altogether, before the next stage.
  static constexpr Nanoseconds kSpinTime = 100'000;
  static constexpr Nanoseconds kAwakeTime = 2 * kMillisecond;
  /// Sleeps double from the first length to the longest; a wire that can wake us does so anyway.
  static constexpr Nanoseconds kShortestSleep = 50'000;
  static constexpr Nanoseconds kLongestSleep = kMillisecond;
  /// To wake up and look costs about 10 us. Sleeps as long as this for each rank of a core leave
  /// nine tenths of it to those that have something to do, heartbeats among them.
  static constexpr Nanoseconds kSleepPerRank = 100'000;

  /// `ranks_per_core`: of this host, rounded up; more than one is a crowd. `crowded`: others want
  /// this core, as far as is known (crowd.h).
  explicit Waiter(int ranks_per_core, bool crowded = false)
      : crowded_(crowded || ranks_per_core > 1),
        longest_(std::max(kLongestSleep, ranks_per_core * kSleepPerRank)),
        spinning_(!crowded_) {}

  /// Something moved: start over.
  void reset() {
    turns_ = 0;
    since_ = 0;
    spinning_ = !crowded_;
    sleep_ = kShortestSleep;
  }

  /// What to do after a turn in which nothing moved.
  Pause next() {
    ++turns_;
    if (spinning_ && turns_ % kSpinsPerLook != 0) return Pause::spin;
    return look();
  }
  /// The time as of the last look; 0 before the first one.
  [[nodiscard]] Nanoseconds now() const { return now_; }
  /// How long the sleep that next() has just asked for should be at most.
  Nanoseconds sleep_length();

 private:
  Pause look();

  bool crowded_;
  Nanoseconds longest_;
  bool spinning_;  ///< the stage of the latest look
  std::uint32_t turns_ = 0;
  Nanoseconds since_ = 0;
  Nanoseconds now_ = 0;
  Nanoseconds sleep_ = kShortestSleep;
};

}  // namespace paceline::engine
