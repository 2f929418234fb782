#include "base/fork.h"

#include <pthread.h>
#include <unistd.h>

namespace paceline {

namespace fork_detail {
constinit std::atomic<int> generation{0};
}  // namespace fork_detail

namespace {

// When the library is loaded, so that every fork is counted, also one before the first use.
[[maybe_unused]] const int forks_counted = ::pthread_atfork(
    nullptr, nullptr, [] { fork_detail::generation.fetch_add(1, std::memory_order_relaxed); });

}  // namespace

ProcessMark::ProcessMark() : generation_(process_generation()), pid_(::getpid()) {}

std::string ProcessMark::text(const std::string& what) const {
  return what + " was made by pid " + std::to_string(pid_) + " and this is its child pid " +
         std::to_string(::getpid()) +
         ", where it cannot be used: make communicators after forking, or start workers by the "
         "spawn or forkserver method (Python's multiprocessing)";
}

}  // namespace paceline
