// Waits that end before their operation does, and ends that nobody waits for.
#include <algorithm>
#include <ctime>
#include <limits>
#include <utility>

#include "communicator/core.h"
#include "communicator/watchers.h"

namespace paceline {

void Watchers::add(std::shared_ptr<engine::Completion> operation, std::function<void()> function) {
  const std::lock_guard guard(lock_);
  entries_.push_back({std::move(operation), std::move(function)});
  any_.store(true, std::memory_order_relaxed);
}

void Watchers::tell() {
  std::vector<Entry> ended;
  {
    const std::lock_guard guard(lock_);
    const auto first_ended =
        std::stable_partition(entries_.begin(), entries_.end(),
                              [](const Entry& entry) { return !entry.operation->finished(); });
    std::move(first_ended, entries_.end(), std::back_inserter(ended));
    entries_.erase(first_ended, entries_.end());
    any_.store(!entries_.empty(), std::memory_order_relaxed);
  }
  for (const Entry& entry : ended) entry.function();
}

void CommunicatorCore::on_done(const std::shared_ptr<engine::Completion>& operation,
                               std::function<void()> function) {
  if (operation->finished()) return function();
  watchers_.add(operation, std::move(function));
  if (operation->finished()) return watchers_.tell();
  const std::weak_ptr<CommunicatorCore> weak = weak_from_this();
  service_->post([weak] {
    if (const auto self = weak.lock()) self->watchers_.tell();
  });
}

// Whoever else holds the lock makes progress for all; it is looked for again in steps, since a
// mutex cannot be waited for and the operation at once.
bool CommunicatorCore::wait_for(engine::Completion& operation, Nanoseconds longest) {
  const Nanoseconds begin = steady_now();
  const Nanoseconds end =
      begin + std::min(longest, std::numeric_limits<Nanoseconds>::max() - begin);
  Nanoseconds pause = engine::Waiter::kShortestSleep;
  while (!operation.finished()) {
    const std::unique_lock guard(*lock_, std::try_to_lock);
    if (guard.owns_lock()) {
      drive(operation, end);
    } else {
      const timespec time{0, std::min(pause, std::max<Nanoseconds>(end - steady_now(), 0))};
      ::nanosleep(&time, nullptr);
      pause = std::min(2 * pause, engine::Waiter::kLongestSleep);
    }
    if (steady_now() >= end) break;
  }
  if (!operation.finished()) return false;
  throw_if_failed(operation);
  return true;
}

void CommunicatorCore::while_waiting(std::function<std::string()> ask) {
  const std::lock_guard guard(*lock_);
  ask_ = std::move(ask);
}

// In the thread that waits, with the lock held.
void CommunicatorCore::ask_whether_to_go_on() {
  const std::string reason = ask_();
  if (!reason.empty() && !failed()) abort(reason);
}

}  // namespace paceline
