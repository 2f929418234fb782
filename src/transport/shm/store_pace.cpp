#include "transport_shm/store_pace.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>

#include "base/caches.h"
#include "base/copy.h"
#include "base/hand_over.h"
#include "base/layout.h"
#include "base/stream_bytes.h"

namespace paceline::transport::shm {

namespace {

/// Of the trial: longer than what a processor has under way at once, shorter than its second cache.
constexpr std::size_t kTrialBytes = 256 * 1024;
constexpr int kTrialRounds = 5;
/// The peer's reading of a line that is in a cache somewhere is the rest.
constexpr double kShareOfTheStore = 0.75;
/// Second caches that puts fill before what they take is typical.
constexpr std::size_t kSettleCaches = 4;

const TickClock& tick_clock() {
  static const TickClock clock;
  return clock;
}

// Streams and reads back, each line once. The shortest of a few rounds counts: others may have lost
// their core meanwhile.
double ticks_of_a_streamed_line() {
  const std::unique_ptr<std::byte, decltype(&std::free)> memory(
      static_cast<std::byte*>(std::aligned_alloc(kPageBytes, 2 * kTrialBytes)), &std::free);
  if (memory == nullptr) return 0;
  std::byte* const source = memory.get();
  std::byte* const target = source + kTrialBytes;
  std::memset(source, 0, 2 * kTrialBytes);
  Ticks shortest = std::numeric_limits<Ticks>::max();
  for (int round = 0; round < kTrialRounds; ++round) {
    const Ticks start = tick_clock().now();
    stream_bytes(target, source, kTrialBytes);
    copy_bytes(source, target, kTrialBytes);
    asm volatile("" : : "r"(source) : "memory");
    shortest = std::min(shortest, tick_clock().now() - start);
  }
  return static_cast<double>(shortest) / (kTrialBytes / kCacheLine);
}

}  // namespace

const StoreLimits& store_limits() {
  static const StoreLimits limits = [] {
    return StoreLimits{kShareOfTheStore * ticks_of_a_streamed_line(),
                       kSettleCaches * caches().second};
  }();
  return limits;
}

void StorePace::copy(std::byte* target, const std::byte* source, std::size_t bytes,
                     std::size_t links, bool apart) {
  if (bytes < kShortest) {
    return apart ? hand_over(target, source, bytes) : copy_bytes(target, source, bytes);
  }
  const Ticks start = tick_clock().now();
  if (streams_) {
    stream_bytes(target, source, bytes);
  } else {
    copy_bytes(target, source, bytes);
  }
  took(bytes, tick_clock().now() - start, links);
}

void StorePace::took(std::size_t bytes, Ticks ticks, std::size_t links) {
  since_change_ += bytes;
  if (streams_) {
    if (since_change_ >= hold_) change(false);
    return;
  }
  if (since_change_ * links < limits_.settle_bytes || limits_.ticks_per_line == 0) return;
  ++votes_;
  const auto lines = static_cast<double>(bytes / kCacheLine);
  if (static_cast<double>(ticks) > limits_.ticks_per_line * lines) ++slow_;
  if (votes_ < kVotes) return;
  if (slow_ * 2 > votes_) return change(true);
  hold_ = kFirstHold;
  votes_ = slow_ = 0;
}

// Streams for twice as long each time that the caches have not become quicker meanwhile.
void StorePace::change(bool streams) {
  if (!streams) hold_ = std::min(2 * hold_, kLongestHold);
  streams_ = streams;
  since_change_ = 0;
  votes_ = slow_ = 0;
}

}  // namespace paceline::transport::shm
