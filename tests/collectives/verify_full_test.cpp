// Every algorithm proven for every size to 64, in every combination to 16 and, where nothing is in
// blocks, to 64; and at chosen sizes to 1,024, and to 4,096 where steps grow slowly with the ranks.
#include "collectives/placements.h"
#include "collectives/variants.h"

namespace paceline::collectives {
namespace {

bool has_blocks(Collective collective) {
  const Blocks blocks = paceline::blocks_of(collective, 0, 2, 0);
  return blocks.input > 1 || blocks.output > 1;
}

TEST(VerifyFull, AllAlgorithmsUpTo64) {
  Stopwatch stopwatch;
  for (const Case& what : kCases) {
    for (int size = 1; size <= 64; ++size) {
      // Blocks cost the square of the ranks, and their combinations by the square again.
      const bool every = size <= 16 || !has_blocks(what.collective);
      prove_all(what, size, every ? Extent::every : Extent::sampled,
                static_cast<std::uint64_t>(size) + 1000, stopwatch);
      ASSERT_FALSE(HasFailure());
    }
  }
}

// Ring, direct and others whose steps grow with the square of the ranks take millions of steps
// here: from 255 ranks on in two instances, on one scratch where they do not need two of them (so
// that the second instance does meet the first one's), and from 1,000 on only in place and in one
// or two of the wirings.
TEST(VerifyFull, ChosenSizesTo1024) {
  Stopwatch stopwatch;
  for (const int size : {100, 128, 255, 256, 511, 1000, 1024}) {
    for (const Case& what : kCases) {
      const bool square =
          what.algorithm == Algorithm::ring || what.algorithm == Algorithm::direct ||
          what.algorithm == Algorithm::bruck || what.algorithm == Algorithm::scatter_all_gather ||
          what.algorithm == Algorithm::hierarchical || what.algorithm == Algorithm::one_shot;
      if (square && size > 128) continue;
      prove_all(what, size, size > 128 ? Extent::sampled : Extent::rotated,
                static_cast<std::uint64_t>(size), stopwatch);
      ASSERT_FALSE(HasFailure());
    }
  }
  struct Large {
    Case what;
    int size;
    std::vector<Wiring> wirings;
  };
  const std::vector<Wiring> all(std::begin(kWirings), std::end(kWirings));
  for (const Large& large :
       {Large{kRing, 255, all}, Large{kDirect, 255, all}, Large{kRing, 256, all},
        Large{kDirect, 256, all}, Large{kRing, 511, {Wiring::mapped, Wiring::arbitrary}},
        Large{kDirect, 511, {Wiring::mapped, Wiring::arbitrary}},
        Large{kRing, 1000, {Wiring::staged_on_wire}}, Large{kDirect, 1000, {Wiring::arbitrary}},
        Large{kRing, 1024, {Wiring::mapped}}, Large{kDirect, 1024, {Wiring::mapped}},
        Large{kDirectReduce, 255, {Wiring::arbitrary}},
        Large{kDirectReduceScatter, 255, {Wiring::arbitrary}},
        Large{kRingReduceScatter, 255, {Wiring::arbitrary}},
        Large{kRingAllGather, 255, {Wiring::staged_on_wire}},
        Large{kDirectAllGather, 255, {Wiring::arbitrary}},
        Large{kBruckAllGather, 255, {Wiring::arbitrary}},
        Large{kDirectAllToAll, 255, {Wiring::staged_on_wire}},
        Large{kBruckAllToAll, 255, {Wiring::arbitrary}},
        Large{kScatterAllGather, 1000, {Wiring::staged_on_wire}}}) {
    const bool original = large.what.name == kRing.name || large.what.name == kDirect.name;
    for (const Wiring wiring : large.wirings) {
      expect_proven({.what = large.what,
                     .shape = {.size = large.size,
                               .count = static_cast<std::uint64_t>(large.size) * 1000 + 1},
                     .in_place = can_be_in_place(large.what.collective),
                     .wiring = wiring,
                     .instances = original ? 2 : 3,
                     .scratches = original ? 1 : 2});
      stopwatch.count();
      ASSERT_FALSE(HasFailure());
    }
  }
}

// Those whose steps grow with the logarithm of the ranks, without a block for each rank.
TEST(VerifyFull, ChosenSizesTo4096) {
  Stopwatch stopwatch;
  for (const int size : {2047, 2048, 4095, 4096}) {
    for (const Case& what : {kDoubling, kHalving, kTree, kBinomial, kTreeBroadcast, kBinomialReduce,
                             kTreeReduce, kBarrier}) {
      for (const Wiring wiring : {Wiring::mapped, Wiring::arbitrary}) {
        expect_proven({.what = what,
                       .shape = {.size = size,
                                 .count = what.collective == Collective::barrier
                                              ? 0
                                              : static_cast<std::uint64_t>(size) + 1},
                       .in_place = wiring == Wiring::mapped && can_be_in_place(what.collective),
                       .wiring = wiring,
                       .instances = 3});
        stopwatch.count();
        ASSERT_FALSE(HasFailure());
      }
    }
  }
}

TEST(VerifyFull, PlacementsUpTo64AndAtChosenSizes) {
  Stopwatch stopwatch;
  for (const Case& what : kHierarchicalCases) {
    for (int size = 1; size <= 64; ++size) {
      for (const Placement* placement : placements(size)) {
        prove_placement(what, placement, size <= 8 ? Extent::every : Extent::sampled,
                        static_cast<std::uint64_t>(size) + 1000, stopwatch);
        ASSERT_FALSE(HasFailure());
      }
    }
    for (const Placement* placement : {in_blocks(100, 8), in_blocks(128, 8), in_turn(128, 4),
                                       in_blocks(255, 4), in_turn(255, 85), in_blocks(512, 64)}) {
      prove_placement(what, placement, Extent::sampled, 1, stopwatch);
      ASSERT_FALSE(HasFailure());
    }
  }
}

}  // namespace
}  // namespace paceline::collectives
