#include "bootstrap/graph.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace paceline::bootstrap {
namespace {

TEST(Graph, NeighboursAreSymmetricAndFew) {
  for (int size = 1; size <= 70; ++size) {
    for (int rank = 0; rank < size; ++rank) {
      const std::vector<int> mine = neighbours(rank, size);
      EXPECT_LE(static_cast<int>(mine.size()), 2 * rounds(size));
      for (const int peer : mine) {
        EXPECT_NE(peer, rank);
        const std::vector<int> theirs = neighbours(peer, size);
        EXPECT_TRUE(std::binary_search(theirs.begin(), theirs.end(), rank)) << rank << " " << peer;
      }
    }
  }
}

TEST(Graph, RoundsAreTheLogarithm) {
  EXPECT_EQ(rounds(1), 0);
  EXPECT_EQ(rounds(2), 1);
  EXPECT_EQ(rounds(3), 2);
  EXPECT_EQ(rounds(16), 4);
  EXPECT_EQ(rounds(17), 5);
  EXPECT_EQ(rounds(10'000), 14);
}

TEST(Graph, EveryBlockArrivesExactlyOnce) {
  for (int size = 1; size <= 70; ++size) {
    std::vector<std::set<int>> have;
    for (int rank = 0; rank < size; ++rank) have.push_back({rank});
    for (int round = 0; round < rounds(size); ++round) {
      std::vector<std::set<int>> next = have;
      for (int rank = 0; rank < size; ++rank) {
        const int to = sends_to(rank, round, size);
        EXPECT_EQ(receives_from(to, round, size), rank);
        for (int i = 0; i < blocks_in(round, size); ++i) {
          const int owner = rank_after(rank, i, size);
          EXPECT_TRUE(have[static_cast<std::size_t>(rank)].contains(owner));
          EXPECT_TRUE(next[static_cast<std::size_t>(to)].insert(owner).second);
        }
      }
      have = next;
    }
    for (const auto& blocks : have) EXPECT_EQ(static_cast<int>(blocks.size()), size);
  }
}

// Without `gone`, can everybody still be reached from one of the rest?
bool connected_without(int size, const std::set<int>& gone) {
  std::set<int> seen;
  std::vector<int> next;
  for (int rank = 0; rank < size && next.empty(); ++rank) {
    if (!gone.contains(rank)) next.push_back(rank);
  }
  while (!next.empty()) {
    const int rank = next.back();
    next.pop_back();
    if (!seen.insert(rank).second) continue;
    for (const int peer : neighbours(rank, size)) {
      if (!gone.contains(peer)) next.push_back(peer);
    }
  }
  return static_cast<int>(seen.size() + gone.size()) == size;
}

// All ranks look alike in this graph (add the same number to all), so one of the two may be 0.
TEST(Graph, LosingAnyTwoLeavesItWhole) {
  for (int size = 3; size <= 40; ++size) {
    for (int other = 1; other < size; ++other) {
      EXPECT_TRUE(connected_without(size, {0, other})) << size << ": 0 and " << other;
    }
  }
}

TEST(Graph, LosingAHostOfEightLeavesItWhole) {
  for (const int size : {16, 24, 64, 128, 200}) {
    for (int first = 0; first + 8 <= size; first += 8) {
      std::set<int> host;
      for (int i = 0; i < 8; ++i) host.insert(first + i);
      EXPECT_TRUE(connected_without(size, host)) << size << " " << first;
    }
  }
}

}  // namespace
}  // namespace paceline::bootstrap
