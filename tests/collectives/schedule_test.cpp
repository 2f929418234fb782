// Chunk arithmetic, the join of collective and algorithm, and the forms that are promised to be
// short.
#include "collectives/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <span>
#include <vector>

#include "collectives/variants.h"

namespace paceline::collectives {
namespace {

std::vector<StepKind> kinds(const Schedule& schedule) {
  std::vector<StepKind> all;
  for (std::uint64_t i = 0; i < schedule.steps(); ++i) all.push_back(schedule.step(i).kind);
  return all;
}

TEST(ChunkBounds, ChunksTileTheRange) {
  for (int size = 1; size <= 70; ++size) {
    for (const std::uint64_t alignment : {1U, 8U, 16U}) {
      const auto p = static_cast<std::uint64_t>(size);
      for (const std::uint64_t count : {std::uint64_t{0}, std::uint64_t{1}, p - 1, p, p + 1, 16 * p,
                                        16 * p + 1, 1000 * p + 7, (std::uint64_t{1} << 62) + 3}) {
        const Shape shape{.size = size, .count = count, .alignment = alignment};
        std::uint64_t end = 0;
        bool shorter = false;
        const std::uint64_t length = chunk_bounds(shape, 0).length;
        for (int chunk = 0; chunk < size; ++chunk) {
          const ChunkBounds bounds = chunk_bounds(shape, chunk);
          EXPECT_EQ(bounds.offset, end);
          end = bounds.offset + bounds.length;
          if (bounds.length > 0) {
            EXPECT_EQ(bounds.offset % alignment, 0U);
          }
          // All of one length, then at most one shorter one, then empty ones.
          if (shorter) {
            EXPECT_EQ(bounds.length, 0U);
          }
          EXPECT_LE(bounds.length, length);
          shorter = shorter || bounds.length < length;
        }
        EXPECT_EQ(end, count) << "size " << size << " alignment " << alignment;
      }
    }
  }
}

TEST(ChunkBounds, DoesNotOverflow) {
  const std::uint64_t count = std::numeric_limits<std::uint64_t>::max() - 100;
  const Shape shape{.size = 1000, .count = count, .alignment = 16};
  const ChunkBounds last = chunk_bounds(shape, 999);
  EXPECT_EQ(last.offset + last.length, count);
}

constexpr Collective kCollectives[] = {
    Collective::all_reduce,     Collective::broadcast,  Collective::barrier,
    Collective::reduce_scatter, Collective::all_gather, Collective::all_to_all,
    Collective::reduce,         Collective::gather,     Collective::scatter};
constexpr Algorithm kAlgorithms[] = {
    Algorithm::automatic,    Algorithm::ring,     Algorithm::recursive_doubling,
    Algorithm::direct,       Algorithm::binomial, Algorithm::halving_doubling,
    Algorithm::tree,         Algorithm::bruck,    Algorithm::scatter_all_gather,
    Algorithm::hierarchical, Algorithm::one_shot};

TEST(MakeSchedule, OffersEachCollectiveByItsAlgorithmsOnly) {
  const Shape shape{.size = 4, .count = 10};
  std::size_t pairs = 0;
  for (const Collective collective : kCollectives) {
    const std::span<const Algorithm> listed = algorithms_of(collective);
    EXPECT_FALSE(listed.empty());
    for (const Algorithm algorithm : kAlgorithms) {
      const auto times = std::count(listed.begin(), listed.end(), algorithm);
      EXPECT_LE(times, 1);
      EXPECT_EQ(offers(collective, algorithm), times == 1);
      EXPECT_EQ(make_schedule(collective, algorithm, shape, 1) != nullptr, times == 1);
      pairs += static_cast<std::size_t>(times);
    }
  }
  // And all of them are proven.
  EXPECT_EQ(pairs, std::size(kCases));
  for (const Case& what : kCases) EXPECT_TRUE(offers(what.collective, what.algorithm)) << what.name;
}

/// The longest put of any rank.
std::uint64_t longest_put(const Case& what, const Shape& shape) {
  std::uint64_t longest = 0;
  for (int rank = 0; rank < shape.size; ++rank) {
    const auto schedule = schedule_of(what, shape, rank);
    for (std::uint64_t i = 0; i < schedule->steps(); ++i) {
      const Step step = schedule->step(i);
      if (step.kind == StepKind::put) longest = std::max(longest, step.source.length);
    }
  }
  return longest;
}

// Never less than the longest put, and less than twice as much where chunks are not rounded up.
TEST(GrainOf, BoundsEveryPutTightly) {
  for (const Case& what : kCases) {
    if (what.collective == Collective::barrier) continue;  // it puts nothing
    for (int size = 1; size <= 33; ++size) {
      for (const std::uint64_t count : {0U, 1U, 17U, 100U, 129U, 5041U, 221'760U}) {
        for (const std::uint64_t alignment : {1U, 16U}) {
          const Shape shape = on_hosts(
              what, {.size = size, .count = count, .root = size / 3, .alignment = alignment});
          const Grain grain = grain_of(what.collective, what.algorithm, shape);
          const Shape cut{.size = grain.pieces, .count = count, .alignment = alignment};
          const std::uint64_t bound =
              chunk_bounds(cut, 0).length * static_cast<std::uint64_t>(grain.blocks);
          const std::uint64_t longest = longest_put(what, shape);
          ASSERT_LE(longest, bound) << what.name << " " << size;
          if (size > 1 && count > 200'000) {
            ASSERT_LT(bound, 2 * longest) << what.name << " " << size;
          }
        }
      }
    }
  }
}

TEST(MakeSchedule, ABarrierMovesNothing) {
  const auto barrier = make_schedule(Collective::barrier, Algorithm::recursive_doubling,
                                     {.size = 6, .count = 1000}, 0);
  EXPECT_EQ(barrier->scratch(), 0U);
  for (std::uint64_t i = 0; i < barrier->steps(); ++i) {
    EXPECT_EQ(barrier->step(i).source.length, 0U);
    EXPECT_EQ(barrier->step(i).target.length, 0U);
  }
}

TEST(RecursiveDoubling, TwoRanksExchangeAndReduceIntoTheOutput) {
  for (int rank = 0; rank < 2; ++rank) {
    const auto schedule = recursive_doubling_all_reduce({.size = 2, .count = 1}, rank);
    EXPECT_EQ(kinds(*schedule),
              (std::vector{StepKind::put, StepKind::wait, StepKind::flush, StepKind::reduce}));
    EXPECT_EQ(schedule->step(0).source, (Slice{Buffer::input, 0, 1}));
    EXPECT_EQ(schedule->destination(3, 0).slice, (Slice{Buffer::output, 0, 1}));
    // The lower rank's first, on both.
    EXPECT_EQ(schedule->source(3, rank).slice.buffer, Buffer::input);
    EXPECT_EQ(schedule->source(3, 1 - rank).slice.buffer, Buffer::scratch);
  }
}

// Of a power of two, every reduce combines two and there is no other copying.
TEST(RecursiveDoubling, PowersOfTwoCopyNothing) {
  int rounds = 1;
  for (const int size : {2, 4, 8, 16}) {
    const auto schedule = recursive_doubling_all_reduce({.size = size, .count = 3}, size - 1);
    EXPECT_EQ(schedule->steps(), 3 * static_cast<std::uint64_t>(rounds) + 1);
    for (std::uint64_t i = 0; i < schedule->steps(); ++i) {
      const Step step = schedule->step(i);
      if (step.kind == StepKind::reduce) {
        EXPECT_EQ(step.sources, 2);
      }
    }
    EXPECT_EQ(schedule->scratch(), static_cast<std::uint64_t>(rounds) * 16);
    ++rounds;
  }
}

TEST(Direct, ReducesOwnChunkOfAllInTheOrderOfTheRanks) {
  const Shape shape{.size = 5, .count = 400};
  for (int rank = 0; rank < shape.size; ++rank) {
    const auto schedule = direct_all_reduce(shape, rank);
    const ChunkBounds chunk = chunk_bounds(shape, rank);
    const Step step = schedule->step(8);
    ASSERT_EQ(step.kind, StepKind::reduce);
    ASSERT_EQ(step.sources, 5);
    ASSERT_EQ(step.destinations, 5);
    for (int j = 0; j < 5; ++j) {
      EXPECT_EQ(schedule->source(8, j).owner, j);
      EXPECT_EQ(schedule->source(8, j).slice, (Slice{Buffer::input, chunk.offset, chunk.length}));
      EXPECT_EQ(schedule->destination(8, j).owner, j);
      EXPECT_EQ(schedule->destination(8, j).slice,
                (Slice{Buffer::output, chunk.offset, chunk.length}));
    }
    // No two ranks put to the same peer at a time.
    EXPECT_EQ(schedule->step(0).peer, (rank + 1) % 5);
    EXPECT_EQ(schedule->step(3).peer, (rank + 4) % 5);
  }
}

// Each rank puts 2(p-1)/p of the data, and nothing else.
TEST(Ring, PutsTheLeastPossible) {
  for (const int size : {2, 3, 8}) {
    const Shape shape{.size = size, .count = static_cast<std::uint64_t>(size) * 160};
    for (int rank = 0; rank < size; ++rank) {
      const auto schedule = ring_all_reduce(shape, rank);
      std::uint64_t put = 0;
      for (std::uint64_t i = 0; i < schedule->steps(); ++i) {
        if (schedule->step(i).kind == StepKind::put) put += schedule->step(i).source.length;
      }
      EXPECT_EQ(put, 2 * static_cast<std::uint64_t>(size - 1) * 160);
    }
  }
}

TEST(Schedules, AreCheapAtTenThousandRanks) {
  const Shape shape{.size = 10'000, .count = 1'000'000'000};
  const auto ring = ring_all_reduce(shape, 9'999);
  EXPECT_EQ(ring->steps(), 5U * 9'999);
  EXPECT_EQ(ring->step(ring->steps() - 1).kind, StepKind::wait);
  EXPECT_EQ(direct_all_reduce(shape, 5'000)->steps(), 6U * 9'999 + 1);
  EXPECT_LE(recursive_doubling_all_reduce(shape, 0)->steps(), 3U * 14 + 3);
  EXPECT_LE(binomial_broadcast(shape, 0)->steps(), 2U * 14);
  EXPECT_LE(halving_doubling_all_reduce(shape, 0)->steps(), 5U * 13 + 3);
  EXPECT_LE(tree_all_reduce(shape, 0)->steps(), 20U);
}

}  // namespace
}  // namespace paceline::collectives
