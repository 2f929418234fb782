// Who wants to hear of the end of an operation that is under way: Work::on_done.
//
// Whoever makes progress tells them after a turn in which something moved. An entry that comes in
// between the end of its operation and that look would be missed, so whoever adds one looks once
// more himself, and has the service thread look later: each entry is taken out by exactly one of
// them.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/completion.h"

namespace paceline {

class Watchers {
 public:
  /// Any thread.
  void add(std::shared_ptr<engine::Completion> operation, std::function<void()> function);
  /// Any thread: calls, and forgets, those whose operation has ended.
  void tell();
  /// Any thread: false if surely nobody waits. What every turn can afford to ask.
  [[nodiscard]] bool any() const { return any_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    std::shared_ptr<engine::Completion> operation;
    std::function<void()> function;
  };
  std::mutex lock_;
  std::vector<Entry> entries_;
  std::atomic<bool> any_{false};
};

}  // namespace paceline
