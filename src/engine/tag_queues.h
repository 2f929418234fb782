// First in, first out, for each tag by itself.
#pragma once

#include <cstddef>
#include <deque>
#include <unordered_map>
#include <utility>

namespace paceline::engine {

template <class T>
class TagQueues {
 public:
  void push(int tag, T value) {
    queues_[tag].push_back(std::move(value));
    ++size_;
  }
  /// The oldest of that tag; null if there is none.
  [[nodiscard]] T* front(int tag) {
    if (size_ == 0) return nullptr;
    const auto found = queues_.find(tag);
    return found == queues_.end() || found->second.empty() ? nullptr : &found->second.front();
  }
  /// Takes that out; there is one.
  T take(int tag) {
    const auto found = queues_.find(tag);
    T value = std::move(found->second.front());
    found->second.pop_front();
    --size_;
    if (found->second.empty() && queues_.size() > kKept) queues_.erase(found);
    return value;
  }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  /// The oldest of each tag.
  template <class Action>
  void each_front(Action&& action) {
    if (size_ == 0) return;
    for (auto& [tag, queue] : queues_) {
      if (!queue.empty()) action(queue.front());
    }
  }
  template <class Action>
  void each(Action&& action) {
    for (auto& [tag, queue] : queues_) {
      for (T& value : queue) action(value);
    }
  }
  void clear() {
    queues_.clear();
    size_ = 0;
  }

 private:
  /// Empty queues are kept for so many tags, since most programs use a few again and again; beyond
  /// that a program that uses a new tag each time must not grow.
  static constexpr std::size_t kKept = 16;

  std::unordered_map<int, std::deque<T>> queues_;
  std::size_t size_ = 0;
};

}  // namespace paceline::engine
