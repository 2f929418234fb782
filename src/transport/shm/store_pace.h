// How what a peer reads next is stored: to lines that this core has, to lines that nobody has had
// for long, or past the caches.
//
// A store to a line that another core has read must first take it away from there. On a Xeon
// (Granite Rapids) a core that loads a line which another one has written takes it over, so that
// its own next store to it asks nobody: there slots that either end writes after the other are best
// ("kept", collectives/schedule.h). On an AMD EPYC (Zen 4) the writer still has a share in it. Then
// it costs little between cores of one last cache if the lines are used seldom enough ("laps",
// engine/rotating_memory.h). Between cores of two, it takes ten times as long as the store itself,
// and stores wait for it one by one; past the caches they wait for nobody, and the peer reads from
// memory. 32 KiB take, stored and read, in us:
//
//                               kept         the same lines    laps          past the caches
//   Xeon                        0.55, 2.5    2.5, 2.5          1.2, 1.9      1.4 to 2.2, 2.5 to 3.5
//   EPYC, one last cache                     4.7, 1.0          1.1, 1.0      1.1, 3.0
//   EPYC, two last caches                    18, 2.7           4.6 to 13, 2.4  0.7, 2.6
//
// Where two ranks run is nothing that a program is told, least of all in a virtual machine, which
// moves. So stores are timed: when most of them, long after the last change, took longer per line
// than it takes to store a line past the caches and to read it from memory, the next way is taken;
// after a while, longer each time, the one before is tried again. What is timed is a piece of
// each put behind its beginning, which is loaded first: sources that come from memory are slow
// whichever way they go, and the first stores to other lines wait for what the processor then
// fetches ahead (EPYC, laps, near cores: 9.7 ticks a line in the first 8 KiB, 5.3 in the next).
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

/// One for each direction of a link and each kind of data (Endpoint::expect). Threads: the owner of
/// progress only.
class StorePace {
 public:
  explicit StorePace(const StoreLimits& limits) : limits_(limits) {}

  /// As memcpy, into memory that the peer reads. `links`: how many this rank has; what it puts on
  /// all of them fills the caches. `apart`: the peer reads on another core, as far as is known.
  void copy(std::byte* target, const std::byte* source, std::size_t bytes, std::size_t links = 1,
            bool apart = true);

  /// Whether stores into the peer's memory go past the caches at present.
  [[nodiscard]] bool streams() const { return way_ == Way::past_caches; }
  /// Whether lines are best written by who was the last to load them.
  [[nodiscard]] bool keeps_lines() const { return way_ == Way::kept; }

  /// A copy of `bytes`, of which kTimed took so long, as streams() said.
  void took(std::size_t bytes, Ticks ticks, std::size_t links = 1);

  /// The peer has taken so much by itself while streams() held.
  void skipped(std::size_t bytes) {
    if (streams()) took(bytes, 0);
  }

  /// Shorter copies are not timed, and not streamed, but handed over (base/hand_over.h).
  static constexpr std::size_t kShortest = 4096;
  /// Of longer ones only so much is: more than what a processor's store buffers hold.
  static constexpr std::size_t kTimed = 8192;
  /// Behind so much, if there is more: the first stores of a put wait longer than others.
  static constexpr std::size_t kBefore = 8192;
  /// After so many timed copies a majority decides.
  static constexpr std::uint32_t kVotes = 32;
  /// How much it stores before it tries the way before again, the first time and at most: the trial
  /// of 5 MiB then costs ranks that are far apart a thirtieth of their time.
  static constexpr std::uint64_t kFirstHold = std::uint64_t{64} << 20;
  static constexpr std::uint64_t kLongestHold = std::uint64_t{512} << 20;

 private:
  enum class Way : std::uint8_t { kept, laps, past_caches };
  static constexpr std::size_t kWays = 3;

  void go_on();
  void go_back();
  void begin(Way way);
  [[nodiscard]] std::uint64_t& hold(Way way) { return hold_[static_cast<std::size_t>(way)]; }

  const StoreLimits& limits_;
  Way way_ = Way::kept;
  std::uint32_t votes_ = 0;
  std::uint32_t slow_ = 0;
  std::uint64_t since_change_ = 0;                           ///< bytes
  std::uint64_t hold_[kWays] = {0, kFirstHold, kFirstHold};  ///< of each but the first
};

}  // namespace paceline::transport::shm
