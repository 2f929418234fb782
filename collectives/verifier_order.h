// What happens before what: vector clocks over the waits.
//
// Every step of a rank is one tick of its own clock. A put or signal carries what its rank knew; a
// wait learns it. Rank r knows tick t of rank q exactly when q's step t happens before r's present.
//
// Cost. A clock has an entry per rank, so copying one for every put would be too much at a thousand
// ranks. A rank's clock changes only where a wait learns something, so messages between two waits
// share one copy, counted by reference, and beside it carry the sender's own tick.
//
// A put is not one event but the time between the put and the peer's matching wait; an access to
// its target must be before the first or after the second. Its source may also be written over
// after a flush by its rank, unless the peer fetches it from there (lowering.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace paceline::collectives::verifier {

/// Ticks of one rank, from 1; 0: never.
using Tick = std::uint32_t;

/// Who read or wrote a cell, and when.
struct Access {
  static constexpr std::int32_t kNobody = -1;
  static constexpr std::int32_t kPut = -2;
  std::int32_t rank = kNobody;
  std::uint32_t when = 0;  ///< a tick of `rank`; if that is kPut, the number of the put

  [[nodiscard]] bool exists() const { return rank != kNobody; }
};

/// A put or signal; its number is its index among all of them.
struct Transfer {
  std::int32_t from = 0;
  Tick posted = 0;
  std::int32_t to = 0;
  Tick received = 0;  ///< 0: not yet
  bool fetched = false;
};

class Order {
 public:
  explicit Order(int size);

  /// Goes on to the next step of `rank`.
  void tick(int rank) { ++now_[index(rank)]; }
  /// The step that `rank` is at.
  [[nodiscard]] Tick now(int rank) const { return now_[index(rank)]; }
  /// True if that tick of `other` is in the past of `rank`, or is its present.
  [[nodiscard]] bool knows(int rank, int other, Tick tick) const {
    if (other == rank) return tick <= now_[index(rank)];
    return entry(clock_[index(rank)], other) >= tick;
  }

  /// A put or signal at the present step of `from`: its number.
  std::uint32_t post(int from, int to, bool fetched);
  /// The matching wait at the present step of the receiver.
  void receive(std::uint32_t transfer);
  void flush(int rank) { flushes_[index(rank)].push_back(now(rank)); }

  /// Whether what the present step of `rank` does comes after that write, or read, is over.
  [[nodiscard]] bool write_over(const Access& write, int rank) const;
  [[nodiscard]] bool read_over(const Access& read, int rank) const;

  [[nodiscard]] const Transfer& transfer(std::uint32_t number) const { return transfers_[number]; }

 private:
  /// Joining clocks is most of the work. A loop of fixed length the compiler turns into a few
  /// vector instructions; 16 ticks are a cache line.
  static constexpr std::size_t kBlock = 16;
  using Block = std::array<Tick, kBlock>;
  struct Clock {
    std::vector<Block> blocks;
    int uses = 0;  ///< 1 as somebody's present one, and 1 for each transfer under way
  };

  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  static Block latest(const Block& a, const Block& b);
  [[nodiscard]] const Tick& entry(std::uint32_t clock, int rank) const {
    return clocks_[clock].blocks[index(rank) / kBlock][index(rank) % kBlock];
  }
  [[nodiscard]] Tick& entry(std::uint32_t clock, int rank) {
    return clocks_[clock].blocks[index(rank) / kBlock][index(rank) % kBlock];
  }
  std::uint32_t fresh_clock();
  void release(std::uint32_t clock);

  std::size_t blocks_;  ///< of a clock
  std::vector<Tick> now_;
  std::vector<std::uint32_t> clock_;  ///< of each rank; its own entry is in now_
  std::deque<Clock> clocks_;          ///< a deque, since clocks are long and never move
  std::vector<std::uint32_t> free_;   ///< among clocks_
  std::vector<Transfer> transfers_;
  std::vector<std::uint32_t> carried_;  ///< the clock that each transfer carries
  std::vector<std::vector<Tick>> flushes_;
};

}  // namespace paceline::collectives::verifier
