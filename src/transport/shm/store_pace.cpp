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

// A look at each line.
void load(const std::byte* source, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += kCacheLine) {
    asm volatile("" : : "r"(*reinterpret_cast<const volatile std::byte*>(source + at)));
  }
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
  if (streams()) {
    stream_bytes(target, source, bytes);
    return took(bytes, 0, links);
  }
  const std::size_t timed = std::min(bytes, kTimed);
  const std::size_t before = std::min(bytes - timed, kBefore);
  const std::size_t end = before + timed;
  copy_bytes(target, source, before);
  load(source + before, timed);
  const Ticks start = tick_clock().now();
  copy_bytes(target + before, source + before, timed);
  const Ticks ticks = tick_clock().now() - start;
  copy_bytes(target + end, source + end, bytes - end);
  took(bytes, ticks, links);
}

void StorePace::took(std::size_t bytes, Ticks ticks, std::size_t links) {
  since_change_ += bytes;
  if (way_ == Way::past_caches) {
    if (since_change_ >= hold(way_)) go_back();
    return;
  }
  if (since_change_ * links < limits_.settle_bytes || limits_.ticks_per_line == 0) return;
  ++votes_;
  const auto lines = static_cast<double>(std::min(bytes, kTimed) / kCacheLine);
  if (static_cast<double>(ticks) > limits_.ticks_per_line * lines) ++slow_;
  if (votes_ < kVotes) return;
  if (slow_ * 2 > votes_) return go_on();
  votes_ = slow_ = 0;
  for (std::size_t later = static_cast<std::size_t>(way_) + 1; later < kWays; ++later) {
    hold_[later] = kFirstHold;
  }
  if (way_ != Way::kept && since_change_ >= hold(way_)) go_back();
}

void StorePace::go_on() {
  begin(way_ == Way::kept ? Way::laps : Way::past_caches);
}

// Stays for twice as long each time that the way before has not become quicker meanwhile.
void StorePace::go_back() {
  hold(way_) = std::min(2 * hold(way_), kLongestHold);
  begin(way_ == Way::past_caches ? Way::laps : Way::kept);
}

void StorePace::begin(Way way) {
  way_ = way;
  since_change_ = 0;
  votes_ = slow_ = 0;
}

}  // namespace paceline::transport::shm
