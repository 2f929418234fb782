// Whether somebody else wants this core, found out by giving it away: what comes back at once was
// wanted by nobody.
//
// The ranks of a host know how many they are and on which cores, but not of other programs, of a
// second job, or of cores that two hosts in fact share (containers, virtual machines). There, who
// spins keeps from running whom it waits for.
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
  /// Yields to nobody, one after the other, after which the core is ours again: as many as take
  /// about as long as spinning would have.
  static constexpr int kPatience = 200;

  /// A sched_yield() has taken that long.
  void yielded(Nanoseconds took) {
    if (took >= kSwitch) {
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
