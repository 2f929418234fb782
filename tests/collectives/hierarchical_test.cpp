// Algorithms that know of hosts: proven for many placements, and what they promise.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "collectives/placements.h"
#include "collectives/shares.h"
#include "collectives/variants.h"

namespace paceline::collectives {
namespace {

TEST(PlacementTest, NumbersHostsAndRanksInOrder) {
  const std::vector<int> given = {7, 3, 7, 7, 9, 3};
  const Placement placement(given);
  EXPECT_EQ(placement.size(), 6);
  EXPECT_EQ(placement.hosts(), 3);
  EXPECT_EQ(placement.most_ranks(), 3);
  const std::vector<int> hosts = {0, 1, 0, 0, 2, 1};
  const std::vector<int> locals = {0, 0, 1, 2, 0, 1};
  for (int rank = 0; rank < 6; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    EXPECT_EQ(placement.host_of(rank), hosts[r]);
    EXPECT_EQ(placement.local(rank), locals[r]);
    EXPECT_EQ(placement.rank_at(hosts[r], locals[r]), rank);
  }
  EXPECT_EQ(placement.ranks_on(0), 3);
  EXPECT_EQ(placement.ranks_on(1), 2);
  EXPECT_EQ(placement.ranks_on(2), 1);
}

TEST(PlacementTest, OfNobodyHasNoHosts) {
  const Placement placement({});
  EXPECT_EQ(placement.size(), 0);
  EXPECT_EQ(placement.hosts(), 0);
  EXPECT_EQ(placement.most_ranks(), 0);
}

// Every share has one driver on every host, who takes it for its own; parts tile the block.
TEST(SharesTest, EveryShareHasADriverOnEveryHost) {
  for (int size = 1; size <= 24; ++size) {
    for (const Placement* placement : placements(size)) {
      for (const std::uint64_t count : {0U, 1U, 23U, 1000U}) {
        const Shares shares({.size = size, .count = count, .placement = placement});
        EXPECT_EQ(shares.number(), placement->most_ranks());
        for (int host = 0; host < placement->hosts(); ++host) {
          int next = 0;
          int most = 0;
          std::uint64_t end = 0;
          for (int local = 0; local < placement->ranks_on(host); ++local) {
            const int rank = placement->rank_at(host, local);
            EXPECT_EQ(shares.first(rank), next);
            next = shares.last(rank);
            most = std::max(most, next - shares.first(rank));
            EXPECT_LT(shares.first(rank), next);
            for (int share = shares.first(rank); share < next; ++share) {
              EXPECT_EQ(shares.driver(host, share), rank);
            }
            const Slice part = shares.part(Buffer::output, rank);
            EXPECT_EQ(part.offset, end);
            end += part.length;
          }
          EXPECT_EQ(next, shares.number());
          EXPECT_EQ(most, shares.most_driven(host));
          EXPECT_EQ(end, count);
        }
      }
    }
  }
}

TEST(SharesTest, DoNotOverflowWithManyRanks) {
  const Placement* placement = placed(100'000, [](int rank) { return rank < 60'000 ? 0 : 1; });
  const Shares shares({.size = 100'000, .count = 10'000'000, .placement = placement});
  EXPECT_EQ(shares.last(59'999), 60'000);
  EXPECT_EQ(shares.last(99'999), 60'000);
  EXPECT_EQ(shares.driver(1, 59'999), 99'999);
}

TEST(VerifyHosts, EveryPlacementUpTo24) {
  Stopwatch stopwatch;
  for (const Case& what : kHierarchicalCases) {
    for (int size = 1; size <= kMostPlaced; ++size) {
      for (const Placement* placement : placements(size)) {
        prove_placement(what, placement, size <= 5 ? Extent::every : Extent::sampled,
                        static_cast<std::uint64_t>(size), stopwatch);
        ASSERT_FALSE(HasFailure());
      }
    }
  }
}

/// Elements that leave each host for others, by puts.
std::vector<std::uint64_t> sent_by_hosts(const Case& what, const Shape& shape) {
  const Placement& placement = *shape.placement;
  std::vector<std::uint64_t> sent(static_cast<std::size_t>(placement.hosts()));
  for (int rank = 0; rank < shape.size; ++rank) {
    const auto schedule = make_schedule(what.collective, what.algorithm, shape, rank);
    for (std::uint64_t i = 0; i < schedule->steps(); ++i) {
      const Step step = schedule->step(i);
      if (step.kind != StepKind::put) continue;
      const int host = placement.host_of(rank);
      if (placement.host_of(step.peer) == host) continue;
      sent[static_cast<std::size_t>(host)] += step.source.length;
    }
  }
  return sent;
}

// What one rank per host would send in the best case, however many there are; a ring over all of
// them sends 2n(p-1)/p from each host where its ranks are neighbours.
TEST(Hierarchical, EachHostSendsTheLeastPossible) {
  constexpr std::uint64_t kUnit = 16 * 12;  // divides into shares and chunks without rounding
  for (const int hosts : {2, 3, 4, 5, 8}) {
    for (const int ranks : {1, 2, 3, 4}) {
      const int size = hosts * ranks;
      const std::uint64_t count = kUnit * static_cast<std::uint64_t>(hosts * ranks);
      for (const Placement* placement : {in_blocks(size, ranks), in_turn(size, hosts)}) {
        const Shape shape{.size = size, .count = count, .placement = placement};
        const std::uint64_t least =
            2 * count / static_cast<std::uint64_t>(hosts) * static_cast<std::uint64_t>(hosts - 1);
        for (const std::uint64_t sent : sent_by_hosts(kHierarchical, shape)) {
          EXPECT_EQ(sent, least) << hosts << " hosts of " << ranks;
        }
      }
      if (ranks == 1) continue;
      const Shape flat{.size = size, .count = count, .placement = in_blocks(size, ranks)};
      for (const std::uint64_t sent : sent_by_hosts(kRing, flat)) {
        EXPECT_EQ(sent, 2 * count / static_cast<std::uint64_t>(size) *
                            static_cast<std::uint64_t>(size - 1));
      }
    }
  }
}

// Every block, or sum of one, leaves for each other host once.
TEST(Hierarchical, BlocksCrossTheWiresOnce) {
  constexpr std::uint64_t kCount = 1000;
  for (int size = 2; size <= 12; ++size) {
    for (const Placement* placement : placements(size)) {
      const Shape shape{.size = size, .count = kCount, .root = size / 2, .placement = placement};
      const auto others = static_cast<std::uint64_t>(placement->hosts() - 1);
      const auto gathered = sent_by_hosts(kHierarchicalAllGather, shape);
      const auto scattered = sent_by_hosts(kHierarchicalReduceScatter, shape);
      const auto broadcast = sent_by_hosts(kHierarchicalBroadcast, shape);
      std::uint64_t all = 0;
      for (int host = 0; host < placement->hosts(); ++host) {
        const auto h = static_cast<std::size_t>(host);
        const auto ranks = static_cast<std::uint64_t>(placement->ranks_on(host));
        EXPECT_EQ(gathered[h], ranks * others * kCount);
        EXPECT_EQ(scattered[h], (static_cast<std::uint64_t>(size) - ranks) * kCount);
        all += broadcast[h];
      }
      EXPECT_LE(all, 2 * others * kCount);
      if (placement->hosts() <= 4) {
        EXPECT_EQ(all, others * kCount);
      }
    }
  }
}

// On hosts of one size each rank talks to the others of its host and to its counterparts.
TEST(Hierarchical, RanksTalkToTheirHostAndTheirCounterparts) {
  const Placement* placement = in_turn(12, 3);
  const Shape shape{.size = 12, .count = 100'000, .placement = placement};
  for (int rank = 0; rank < shape.size; ++rank) {
    for (const Case& what : kHierarchicalCases) {
      const auto schedule = make_schedule(what.collective, what.algorithm, shape, rank);
      for (std::uint64_t i = 0; i < schedule->steps(); ++i) {
        const int peer = schedule->step(i).peer;
        if (peer < 0) continue;
        const bool neighbour = placement->host_of(peer) == placement->host_of(rank);
        const bool counterpart = placement->local(peer) == placement->local(rank);
        EXPECT_NE(neighbour, counterpart) << what.name;
      }
    }
  }
}

// Nobody else's placement may cost the others anything, and one host needs no second level.
TEST(Hierarchical, IsDirectOnOneHost) {
  const Shape shape{.size = 5, .count = 1000};
  Shape placed_on_one = shape;
  placed_on_one.placement = in_blocks(5, 5);
  for (const Shape& one : {shape, placed_on_one}) {
    const auto direct = direct_all_reduce(one, 3);
    const auto schedule = make_schedule(Collective::all_reduce, Algorithm::hierarchical, one, 3);
    ASSERT_EQ(schedule->steps(), direct->steps());
    EXPECT_EQ(schedule->scratch(), direct->scratch());
    for (std::uint64_t i = 0; i < direct->steps(); ++i) {
      EXPECT_EQ(schedule->step(i).kind, direct->step(i).kind);
      EXPECT_EQ(schedule->step(i).peer, direct->step(i).peer);
      EXPECT_EQ(schedule->step(i).target, direct->step(i).target);
    }
    EXPECT_EQ(grain_of(Collective::all_reduce, Algorithm::hierarchical, one).pieces, 5);
  }
}

// A segment is what crosses a wire: in a ring of six hosts a sixth of a share, between two a half.
TEST(Hierarchical, GrainKnowsWhatCrossesWires) {
  const auto grain = [](const Placement* placement) {
    return grain_of(Collective::all_reduce, Algorithm::hierarchical,
                    {.size = placement->size(), .count = 1000, .placement = placement});
  };
  const Grain equal = grain(in_blocks(24, 4));
  EXPECT_EQ(equal.pieces, 4);
  EXPECT_EQ(equal.blocks, 1);
  EXPECT_EQ(equal.segments, 6);
  // Hosts of 5 and 2 ranks: one of the two drives three shares out of five.
  const Grain unequal = grain(placed(7, [](int rank) { return rank < 5 ? 0 : 1; }));
  EXPECT_EQ(unequal.pieces, 5);
  EXPECT_EQ(unequal.blocks, 3);
  EXPECT_EQ(unequal.segments, 6);
  const Grain singles = grain(in_blocks(3, 1));
  EXPECT_EQ(singles.pieces, 3);
  EXPECT_EQ(singles.segments, 1);
}

TEST(GrainOf, BoundsEveryPutOnAnyPlacement) {
  for (const Case& what : kHierarchicalCases) {
    for (int size = 1; size <= 24; ++size) {
      for (const Placement* placement : placements(size)) {
        for (const std::uint64_t count : {0U, 1U, 17U, 129U, 5041U, 221'760U}) {
          const Shape shape{.size = size, .count = count, .root = size / 3, .placement = placement};
          const Grain grain = grain_of(what.collective, what.algorithm, shape);
          const std::uint64_t bound =
              chunk_bounds({.size = grain.pieces, .count = count}, 0).length *
              static_cast<std::uint64_t>(grain.blocks);
          std::uint64_t longest = 0;
          for (int rank = 0; rank < size; ++rank) {
            const auto schedule = make_schedule(what.collective, what.algorithm, shape, rank);
            for (std::uint64_t i = 0; i < schedule->steps(); ++i) {
              const Step step = schedule->step(i);
              if (step.kind == StepKind::put) longest = std::max(longest, step.source.length);
            }
          }
          ASSERT_LE(longest, bound) << what.name << on_which_hosts(placement);
          if (size > 1 && count > 200'000) {
            ASSERT_LT(bound, 2 * longest) << what.name << on_which_hosts(placement);
          }
        }
      }
    }
  }
}

/// A block and its acknowledgement may be under way in one direction, as in any exchange of all
/// with all; every wire has room for more.
constexpr int kRoom = 2;

/// Takes the steps of all ranks in some order, with room for so many messages of each rank at each
/// other: whether all get to their end.
bool ends_with_little_room(const Case& what, const Shape& shape) {
  const auto size = static_cast<std::size_t>(shape.size);
  std::vector<std::unique_ptr<Schedule>> schedules;
  for (int rank = 0; rank < shape.size; ++rank) schedules.push_back(schedule_of(what, shape, rank));
  std::vector<std::uint64_t> at(size);
  std::vector<int> under_way(size * size);  // from * size + to
  bool moved = true;
  while (moved) {
    moved = false;
    for (std::size_t rank = 0; rank < size; ++rank) {
      for (; at[rank] < schedules[rank]->steps(); ++at[rank], moved = true) {
        const Step step = schedules[rank]->step(at[rank]);
        if (step.peer < 0) continue;
        const auto peer = static_cast<std::size_t>(step.peer);
        const bool waits = step.kind == StepKind::wait;
        const std::size_t way = waits ? peer * size + rank : rank * size + peer;
        if (under_way[way] == (waits ? 0 : kRoom)) break;
        under_way[way] += waits ? -1 : 1;
      }
    }
  }
  for (std::size_t rank = 0; rank < size; ++rank) {
    if (at[rank] < schedules[rank]->steps()) return false;
  }
  return true;
}

// What may travel by messages gets by with little room for them, on any placement; what may not has
// a reason.
TEST(GrainOf, MessagesNeedLittleRoom) {
  bool needed = false;
  for (const Case& what : kCases) {
    for (int size = 1; size <= 16; ++size) {
      for (const Placement* placement : placements(size)) {
        const Shape shape{.size = size, .count = 1000, .root = size / 3, .placement = placement};
        const bool ends = ends_with_little_room(what, shape);
        const bool messages = grain_of(what.collective, what.algorithm, shape).messages;
        EXPECT_TRUE(ends || !messages) << what.name << on_which_hosts(placement);
        needed = needed || !ends;
      }
    }
  }
  EXPECT_TRUE(needed);
}

TEST(Hierarchical, IsCheapAtTenThousandRanks) {
  const Placement* placement = in_blocks(10'000, 8);
  const Shape shape{.size = 10'000, .count = 1'000'000'000, .placement = placement};
  const auto schedule = hierarchical_all_reduce(shape, 9'999);
  EXPECT_EQ(schedule->steps(), 4U * 7 + 1 + 5U * (1250 - 1));  // a ring of the hosts
  EXPECT_EQ(schedule->step(schedule->steps() - 1).kind, StepKind::wait);
}

}  // namespace
}  // namespace paceline::collectives
