// What to do between two looks at something that another process does.
#pragma once

#include "prefix.h"

namespace paceline::torch_backend {

/// Spins, then gives the core away, then sleeps. The core of a training process is wanted by its
/// own computation most of the time: where giving it away took long, somebody else had use for it,
/// and from then on looks are far between.
class Patience {
 public:
  /// `idle_caller`: this thread is the program's own and waits, so that the core is free for it.
  explicit Patience(bool idle_caller) : spinning_(idle_caller) {}

  void pause();

 private:
  bool spinning_;
  bool crowded_ = false;
  unsigned looks_ = 0;
  std::chrono::steady_clock::time_point since_{};
};

}  // namespace paceline::torch_backend
