// Whether somebody else wants this core, found out by giving it away: what comes back at once was
// wanted by nobody.
//
// The ranks of a host know how many they are and on which cores, but not of other programs, of a
// second job, or of cores that two hosts in fact share (containers, virtual machines). There, who
// spins keeps from running whom it waits for.
//
// Ranks that wait hand a core on within microseconds. What keeps it for a whole time slice
// computes, and is no rank that we could help by stepping back at every wait: that would cost a
// slice each time, where who spins gets its fair share of the core, and in its share is done with
// thousands of calls.
//
// Threads: the owner of progress only.
#pragma once

#include "base/clock.h"

namespace paceline::engine {

class Crowd {
 public:
  /// To yield to nobody takes half a microsecond; to switch to somebody and back takes three, and
  /// what that one does in between.
  static constexpr Nanoseconds kSwitch = 5'000;
  /// As long as a slice of Linux' schedulers is at least.
  static constexpr Nanoseconds kSlice = 700'000;
  /// Yields to nobody, one after the other, after which the core is ours again: as many as take
  /// about as long as spinning would have.
  static constexpr int kPatience = 200;

  /// A sched_yield() has taken that long.
  void yielded(Nanoseconds took) {
    if (took >= kSlice) {
      left_ = 0;
    } else if (took >= kSwitch) {
      left_ = kPatience;
    } else if (left_ > 0) {
      --left_;
    }
  }
  [[nodiscard]] bool seen() const { return left_ > 0; }

 private:
  int left_ = 0;
};

}  // namespace paceline::engine
