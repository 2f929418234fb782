// Where the ranks of one measurement agree, apart from the library that is measured: a file that
// all of them map. They are processes of one machine, also where network namespaces make it look
// like two hosts.
#pragma once

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/statistics.h"

namespace paceline::compare {

/// How a rank waits for the others between two calls that are measured, never inside of one.
enum class Waiting {
  spin,   ///< a core for each rank
  yield,  ///< more ranks than cores
  block,  ///< the library has threads of its own, which need the core meanwhile
};

inline Waiting waiting_named(const std::string& name) {
  if (name == "spin") return Waiting::spin;
  if (name == "yield") return Waiting::yield;
  if (name == "block") return Waiting::block;
  throw std::invalid_argument("--wait is \"" + name + "\"; allowed: spin, yield, block");
}

/// A mapping of a file that all ranks have open; grows the file as needed.
class Shared {
 public:
  Shared(const std::string& path, std::size_t bytes) : bytes_(bytes) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) fail(path);
    // Every rank does this, to the same length; what is there stays. Where there is no room, this
    // says so, and no rank dies of it later.
    errno = ::posix_fallocate(file, 0, static_cast<off_t>(bytes));
    const bool sized = errno == 0;
    if (sized)
      data_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    ::close(file);
    if (!sized || data_ == MAP_FAILED) fail(path);
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { ::munmap(data_, bytes_); }
  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(data_); }

 private:
  [[noreturn]] static void fail(const std::string& path) {
    throw std::runtime_error(path + ": " + std::strerror(errno));
  }
  std::size_t bytes_;
  void* data_ = nullptr;
};

class Meeting {
 public:
  /// Times of so many calls are kept for each rank; more would say nothing new about a median.
  static constexpr std::size_t kSamples = 16384;

  /// `shared` has bytes_for(ranks), all of them 0 in the beginning.
  Meeting(const Shared& shared, int rank, int ranks, Waiting waiting)
      : shared_(shared), rank_(rank), ranks_(ranks), waiting_(waiting) {}
  static constexpr std::size_t bytes_for(int ranks) {
    return sizeof(Head) + static_cast<std::size_t>(ranks) * kSamples * sizeof(double);
  }

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int ranks() const { return ranks_; }

  /// Returns when all ranks have called it. The last one to come resets the count before it lets
  /// the others go, so that the next round finds it at 0.
  void barrier() {
    Head& head = this->head();
    const std::uint32_t round = head.round.load(std::memory_order_acquire);
    const auto all = static_cast<std::uint32_t>(ranks_);
    if (head.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == all) {
      head.arrived.store(0, std::memory_order_relaxed);
      head.round.store(round + 1, std::memory_order_release);
      if (waiting_ == Waiting::block) futex(FUTEX_WAKE, INT_MAX);
      return;
    }
    // A spinner lets others on now and then: somebody else may need this core for a moment.
    for (unsigned turn = 1; head.round.load(std::memory_order_acquire) == round; ++turn) {
      if (waiting_ == Waiting::block) {
        futex(FUTEX_WAIT, static_cast<int>(round));
      } else if (waiting_ == Waiting::yield || turn % kSpins == 0) {
        ::sched_yield();
      } else {
        relax();
      }
    }
  }

  /// The largest, and the sum, of what the ranks bring; the same on all of them.
  double largest(double mine) {
    gather(mine);
    const double* const begin = samples(0);
    double result = mine;
    for (int rank = 0; rank < ranks_; ++rank) {
      result = std::max(result, begin[static_cast<std::size_t>(rank) * kSamples]);
    }
    barrier();
    return result;
  }
  double sum(double mine) {
    gather(mine);
    const double* const begin = samples(0);
    double result = 0;
    for (int rank = 0; rank < ranks_; ++rank) {
      result += begin[static_cast<std::size_t>(rank) * kSamples];
    }
    barrier();
    return result;
  }

  /// How long a cache line takes from rank 0 to rank 1 or back, in ns: the median of a few batches.
  /// All ranks call it. 0 where ranks have no core each, and on others than those two.
  double crossing_ns() {
    constexpr std::size_t kBatches = 9;
    constexpr int kTrips = 50;
    barrier();
    if (waiting_ != Waiting::spin || ranks_ < 2 || rank_ > 1) return 0;
    std::vector<double> times(kBatches);
    for (double& time : times) {
      const auto start = std::chrono::steady_clock::now();
      for (int trip = 0; trip < kTrips; ++trip) {
        if (rank_ == 0) throw_ball();
        catch_ball();
        if (rank_ == 1) throw_ball();
      }
      const std::chrono::duration<double, std::nano> all = std::chrono::steady_clock::now() - start;
      time = all.count() / (2 * kTrips);
    }
    return bench::percentile(times, 0.5);
  }

  /// kSamples values of a rank; everybody may read them after a barrier.
  [[nodiscard]] double* samples(int rank) {
    return reinterpret_cast<double*>(shared_.data() + sizeof(Head)) +
           static_cast<std::size_t>(rank) * kSamples;
  }

  static void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

 private:
  // A line each: those who wait for `round` do not slow down those who arrive.
  struct Head {
    alignas(128) std::atomic<std::uint32_t> arrived;
    alignas(128) std::atomic<std::uint32_t> round;
    alignas(128) std::atomic<std::uint32_t> ball;
  };
  static constexpr unsigned kSpins = 1U << 14;

  // What two ranks hand to and fro: a number that each raises in turn.
  void throw_ball() {
    head().ball.store(++ball_, std::memory_order_release);
  }
  void catch_ball() {
    ++ball_;
    for (unsigned turn = 1; head().ball.load(std::memory_order_acquire) != ball_; ++turn) {
      if (turn % kSpins == 0) ::sched_yield();
    }
  }

  [[nodiscard]] Head& head() {
    return *reinterpret_cast<Head*>(shared_.data());
  }
  void futex(int operation, int value) {
    ::syscall(SYS_futex, &head().round, operation, value, nullptr, nullptr, 0);
  }
  void gather(double mine) {
    *samples(rank_) = mine;
    barrier();
  }

  const Shared& shared_;
  const int rank_;
  const int ranks_;
  const Waiting waiting_;
  std::uint32_t ball_ = 0;  ///< how often it was thrown
};

}  // namespace paceline::compare
