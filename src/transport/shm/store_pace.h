// How what a peer reads next is stored: into this core's caches, or past them.
//
// A store to a line that another core has read must first take it away from there. Between cores of
// one last cache that costs little, if the lines are used seldom enough (engine/rotating_memory.h).
// Between cores of two, it takes ten times as long as the store itself, and stores wait for it one
// by one; past the caches they wait for nobody, and the peer reads from memory. On an AMD EPYC (Zen
// 4) 32 KiB take, stored and read:
//
//                        into the caches      past them
//   one last cache       2 to 4.5 us          3.8 to 4.6 us
//   two last caches      11 to 20 us          3.3 us
//
// Where two ranks run is nothing that a program is told, least of all in a virtual machine, which
// moves. So puts are timed: when most of them, long after the last change, took longer per line
// than it takes to store a line past the caches and to read it from memory, the next ones go past
// the caches; after a while, longer each time, the other way is tried again.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/ticks.h"

namespace paceline::transport::shm {

/// What StorePace compares with.
struct StoreLimits {
  /// Of a store into the caches, for a line; the counter's ticks (0: nothing is ever streamed).
  double ticks_per_line = 0;
  /// Of puts after a change, before times count: the lines have to be in the caches, or out of
  /// them.
  std::size_t settle_bytes = 0;
};

/// Of this machine, measured once, in 0.1 ms. Any thread.
const StoreLimits& store_limits();

/// One for each direction of a link. Threads: the owner of progress only.
class StorePace {
 public:
  explicit StorePace(const StoreLimits& limits) : limits_(limits) {}

  /// As memcpy, into memory that the peer reads. `links`: how many this rank has; what it puts on
  /// all of them fills the caches. `apart`: the peer reads on another core, as far as is known.
  void copy(std::byte* target, const std::byte* source, std::size_t bytes, std::size_t links = 1,
            bool apart = true);

  /// Whether stores into the peer's memory go past the caches at present.
  [[nodiscard]] bool streams() const { return streams_; }

  /// A copy of `bytes` that took so long, as streams() said.
  void took(std::size_t bytes, Ticks ticks, std::size_t links = 1);

  /// Shorter copies are not timed, and not streamed, but handed over (base/hand_over.h).
  static constexpr std::size_t kShortest = 4096;
  /// After so many timed copies a majority decides.
  static constexpr std::uint32_t kVotes = 32;
  /// How much it streams before it tries the other way again, the first time and at most: the trial
  /// of 5 MiB then costs ranks that are far apart a thirtieth of their time.
  static constexpr std::uint64_t kFirstHold = std::uint64_t{64} << 20;
  static constexpr std::uint64_t kLongestHold = std::uint64_t{512} << 20;

 private:
  void change(bool streams);

  const StoreLimits& limits_;
  bool streams_ = false;
  std::uint32_t votes_ = 0;
  std::uint32_t slow_ = 0;
  std::uint64_t since_change_ = 0;  ///< bytes
  std::uint64_t hold_ = kFirstHold;
};

}  // namespace paceline::transport::shm
