// What a fork() leaves in the child: a copy of everything but the threads. Locks may be held there
// by threads that do not exist, sockets are the parent's, and registered memory is missing. So what
// was made before the fork is not touched in the child, and never destroyed there.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <string>
#include <utility>

namespace paceline {

namespace fork_detail {
/// Written in a child only, while it has one thread.
extern std::atomic<int> generation;
}  // namespace fork_detail

/// How many forks lie between the first process that loaded the library and this one.
inline int process_generation() {
  return fork_detail::generation.load(std::memory_order_relaxed);
}

/// Which process made something. Asking costs a load and a compare, where getpid() is a call into
/// the kernel.
class ProcessMark {
 public:
  ProcessMark();
  /// True in a child of the process that made it.
  [[nodiscard]] bool foreign() const { return generation_ != process_generation(); }
  /// Says that `what` was made before the fork, and what to do instead.
  [[nodiscard]] std::string text(const std::string& what) const;

 private:
  int generation_;
  pid_t pid_;
};

/// In a child: keeps `object`, which came from the parent, for ever. Reachable, so that leak
/// checkers do not take it for lost.
template <class T>
void abandon(T object) noexcept {
  struct Kept {
    T object;
    Kept* next;
  };
  static std::atomic<Kept*> all{nullptr};
  auto* kept = new Kept{std::move(object), all.load(std::memory_order_relaxed)};
  while (!all.compare_exchange_weak(kept->next, kept, std::memory_order_release,
                                    std::memory_order_relaxed)) {
  }
}

}  // namespace paceline
