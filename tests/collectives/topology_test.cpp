// The arithmetic of ranks: properties that hold for every size.
#include "collectives/topology.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <set>
#include <vector>

namespace paceline::collectives {
namespace {

constexpr int kSizes = 300;

TEST(Ring, MyNextsPreviousIsMe) {
  for (int size = 1; size <= kSizes; ++size) {
    std::set<int> visited;
    int at = 0;
    for (int rank = 0; rank < size; ++rank) {
      EXPECT_EQ(ring_prev(ring_next(rank, size), size), rank);
      EXPECT_EQ(ring_next(rank, size), wrapped(rank + 1, size));
      EXPECT_EQ(ring_prev(rank, size), wrapped(rank - 1, size));
      visited.insert(at);
      at = ring_next(at, size);
    }
    EXPECT_EQ(at, 0);
    EXPECT_EQ(visited.size(), static_cast<std::size_t>(size));
  }
}

TEST(FoldingTest, HostsHaveEachPositionOnceInTheOrderOfTheirRanks) {
  for (int size = 1; size <= kSizes; ++size) {
    const Folding folding(size);
    EXPECT_EQ((1 << folding.rounds) + folding.guests, size);
    EXPECT_LT(folding.guests, 1 << folding.rounds);
    int position = 0;
    int guests = 0;
    for (int rank = 0; rank < size; ++rank) {
      if (folding.is_guest(rank)) {
        ++guests;
        EXPECT_TRUE(folding.has_guest(rank - 1));
        continue;
      }
      EXPECT_EQ(folding.position(rank), position);
      EXPECT_EQ(folding.rank_at(position), rank);
      ++position;
      EXPECT_EQ(folding.has_guest(rank), rank + 1 < size && folding.is_guest(rank + 1));
    }
    EXPECT_EQ(position, 1 << folding.rounds);
    EXPECT_EQ(guests, folding.guests);
  }
}

TEST(FoldingTest, MyPartnersPartnerIsMeAndNeverAGuest) {
  for (int size = 1; size <= kSizes; ++size) {
    const Folding folding(size);
    for (int rank = 0; rank < size; ++rank) {
      if (folding.is_guest(rank)) continue;
      for (int round = 0; round < folding.rounds; ++round) {
        const int partner = folding.partner(rank, round);
        EXPECT_NE(partner, rank);
        EXPECT_FALSE(folding.is_guest(partner));
        EXPECT_EQ(folding.partner(partner, round), rank);
      }
    }
  }
}

TEST(BinomialTreeTest, EveryRankIsTheChildOfItsParentAndOfNobodyElse) {
  for (int size = 1; size <= kSizes; ++size) {
    for (const int root : {0, size / 2, size - 1}) {
      const BinomialTree tree{.size = size, .root = root};
      std::vector<int> parents(static_cast<std::size_t>(size), -1);
      for (int rank = 0; rank < size; ++rank) {
        EXPECT_EQ(tree.rank_at(tree.place(rank)), rank);
        for (int j = 0; j < tree.children(rank); ++j) {
          const int child = tree.child(rank, j);
          ASSERT_GE(child, 0);
          ASSERT_LT(child, size);
          EXPECT_EQ(parents[static_cast<std::size_t>(child)], -1) << "two parents";
          parents[static_cast<std::size_t>(child)] = rank;
          EXPECT_EQ(tree.parent(child), rank);
        }
      }
      for (int rank = 0; rank < size; ++rank) {
        EXPECT_EQ(parents[static_cast<std::size_t>(rank)] == -1, rank == root);
      }
    }
  }
}

TEST(BinomialTreeTest, IsAsDeepAsTheLogarithmOfItsSize) {
  for (int size = 1; size <= kSizes; ++size) {
    const BinomialTree tree{.size = size, .root = size / 3};
    for (int rank = 0; rank < size; ++rank) {
      int depth = 0;
      for (int at = rank; at != tree.root; at = tree.parent(at)) ++depth;
      EXPECT_LE(depth, std::bit_width(static_cast<unsigned>(size - 1)));
    }
  }
}

TEST(BinomialTreeTest, SubtreesAreConsecutivePlaces) {
  for (int size = 1; size <= kSizes; ++size) {
    const BinomialTree tree{.size = size, .root = size / 3};
    int largest = 0;
    for (int rank = 0; rank < size; ++rank) {
      int ranks = 1;
      for (int j = tree.children(rank) - 1; j >= 0; --j) {
        const int child = tree.child(rank, j);
        EXPECT_EQ(tree.place(child), tree.place(rank) + ranks);
        ranks += tree.subtree(child);
      }
      EXPECT_EQ(tree.subtree(rank), ranks);
      if (rank != tree.root) largest = std::max(largest, ranks);
    }
    EXPECT_EQ(tree.largest_subtree(), largest) << size;
  }
}

TEST(BinaryTreeTest, ParentsAndChildrenAgreeAndSubtreesAreInOrder) {
  for (int nodes = 0; nodes <= kSizes; ++nodes) {
    const BinaryTree tree{.nodes = nodes};
    EXPECT_EQ(tree.left(0), 0);
    EXPECT_EQ(tree.right(0) == 0, nodes == 0);
    for (int node = 1; node <= nodes; ++node) {
      const int parent = tree.parent(node);
      EXPECT_EQ(node < parent ? tree.left(parent) : tree.right(parent), node) << nodes;
      for (const int child : {tree.left(node), tree.right(node)}) {
        if (child == 0) continue;
        EXPECT_EQ(tree.parent(child), node) << nodes;
      }
      EXPECT_EQ(tree.left(node) == 0, node % 2 != 0);
      EXPECT_TRUE(node % 2 == 0 || tree.right(node) == 0);
      int depth = 0;
      for (int at = node; at != 0; at = tree.parent(at)) ++depth;
      EXPECT_LE(depth, std::bit_width(static_cast<unsigned>(nodes)));
    }
  }
}

TEST(TwoTreesTest, EveryRankButTheRootIsALeafInOneOfThem) {
  for (int size = 1; size <= kSizes; ++size) {
    const TwoTrees trees{.size = size, .root = size / 2};
    for (int rank = 0; rank < size; ++rank) {
      for (const int which : {0, 1}) {
        const int node = trees.node(which, rank);
        EXPECT_GE(node, 0);
        EXPECT_LT(node, size);
        EXPECT_EQ(node == 0, rank == trees.root);
        EXPECT_EQ(trees.rank_at(which, node), rank) << size;
      }
      if (rank == trees.root) continue;
      EXPECT_TRUE(trees.node(0, rank) % 2 != 0 || trees.node(1, rank) % 2 != 0) << size;
    }
  }
}

}  // namespace
}  // namespace paceline::collectives
