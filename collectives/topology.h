// Who talks to whom: the arithmetic of ranks behind the algorithms. Pure, without state.
#pragma once

#include <bit>
#include <cstdint>

#include "collectives/schedule.h"

namespace paceline::collectives {

/// `a` modulo `size`, for -size <= a.
constexpr int wrapped(int a, int size) {
  return (a % size + size) % size;
}

/// The ring 0 -> 1 -> ... -> size-1 -> 0.
constexpr int ring_next(int rank, int size) {
  return rank + 1 == size ? 0 : rank + 1;
}
constexpr int ring_prev(int rank, int size) {
  return rank == 0 ? size - 1 : rank - 1;
}

/// `size` ranks folded into the largest power of two: of the first 2 * guests ranks each odd one is
/// the guest of the even one below it. The others, the hosts, have the positions 0 .. 2^rounds - 1
/// in the order of their ranks, so that each block of positions is a block of consecutive ranks.
struct Folding {
  int rounds = 0;
  int guests = 0;

  constexpr explicit Folding(int size)
      : rounds(std::bit_width(static_cast<unsigned>(size)) - 1), guests(size - (1 << rounds)) {}

  [[nodiscard]] constexpr bool is_guest(int rank) const {
    return rank < 2 * guests && rank % 2 == 1;
  }
  [[nodiscard]] constexpr bool has_guest(int rank) const {
    return rank < 2 * guests && rank % 2 == 0;
  }
  /// Of a host.
  [[nodiscard]] constexpr int position(int rank) const {
    return rank < 2 * guests ? rank / 2 : rank - guests;
  }
  [[nodiscard]] constexpr int rank_at(int position) const {
    return position < guests ? 2 * position : position + guests;
  }
  /// With whom a host exchanges in `round`.
  [[nodiscard]] constexpr int partner(int rank, int round) const {
    return rank_at(position(rank) ^ (1 << round));
  }
};

/// The binomial tree of `size` ranks below `root`. With places counted from the root, the parent
/// of a place is the place without its lowest bit, and its children are the place plus each power
/// of two below that bit.
struct BinomialTree {
  int size = 1;
  int root = 0;

  [[nodiscard]] constexpr int place(int rank) const { return wrapped(rank - root, size); }
  [[nodiscard]] constexpr int rank_at(int place) const { return wrapped(place + root, size); }
  /// Not of the root.
  [[nodiscard]] constexpr int parent(int rank) const {
    const int p = place(rank);
    return rank_at(p & (p - 1));
  }
  [[nodiscard]] constexpr int children(int rank) const {
    const unsigned p = static_cast<unsigned>(place(rank));
    const unsigned end = static_cast<unsigned>(size);
    const int below = p == 0 ? std::bit_width(end - 1) : std::countr_zero(p);
    // The largest k with p + 2^k < end; p has no bits below `below`, so all smaller ones exist too.
    const int fit = std::bit_width(end - 1 - p);
    return below < fit ? below : fit;
  }
  /// Child j of children(rank), the one with the largest subtree first.
  [[nodiscard]] constexpr int child(int rank, int j) const {
    return rank_at(place(rank) + (1 << (children(rank) - 1 - j)));
  }
  /// Ranks in the subtree of this one, which has the places from its own on.
  [[nodiscard]] constexpr int subtree(int rank) const {
    const int p = place(rank);
    if (p == 0) return size;
    const int whole = p & -p;
    return whole < size - p ? whole : size - p;
  }
  /// The most ranks in a subtree below the root.
  [[nodiscard]] constexpr int largest_subtree() const {
    if (size < 3) return size - 1;
    // The last two children's: any before are half as large as the last but one's.
    const int last = 1 << (std::bit_width(static_cast<unsigned>(size - 1)) - 1);
    return last / 2 > size - last ? last / 2 : size - last;
  }
};

/// A binary tree of the nodes 1 .. nodes, numbered from left to right, below a node 0 that has only
/// the top as its child. The height of a node is that of its lowest bit: odd nodes are leaves.
struct BinaryTree {
  int nodes = 0;

  /// Of a node that is not 0.
  [[nodiscard]] constexpr int parent(int node) const {
    const int bit = node & -node;
    // A left child's parent is above it to the right. Where that is behind the end, and for a right
    // child, it is to the left; the top is a power of two and gets 0.
    const bool left = (node & 2 * bit) == 0 && node + bit <= nodes;
    return left ? node + bit : node - bit;
  }
  /// 0: none. All nodes to the right of node 0 hang below its right child, the top.
  [[nodiscard]] constexpr int left(int node) const {
    const int half = (node & -node) / 2;
    return half == 0 ? 0 : node - half;
  }
  [[nodiscard]] constexpr int right(int node) const {
    const int room = nodes - node;
    if (room == 0) return 0;
    const int highest = 1 << (std::bit_width(static_cast<unsigned>(room)) - 1);
    if (node == 0) return highest;
    const int half = (node & -node) / 2;
    if (half == 0) return 0;
    return node + (half < highest ? half : highest);
  }
};

/// Two binary trees of the same ranks below the same root, such that each other rank is a leaf in
/// at least one: the nodes of the second are those of the first from right to left, or, where that
/// keeps odd nodes odd, all moved by one.
struct TwoTrees {
  int size = 1;
  int root = 0;

  [[nodiscard]] constexpr BinaryTree tree() const { return {.nodes = size - 1}; }
  [[nodiscard]] constexpr int node(int which, int rank) const {
    const int place = wrapped(rank - root, size);
    if (which == 0 || place == 0) return place;
    if (size % 2 != 0) return size - place;
    return place == 1 ? size - 1 : place - 1;
  }
  [[nodiscard]] constexpr int rank_at(int which, int node) const {
    int place = node;
    if (which != 0 && node != 0) {
      place = size % 2 != 0 ? size - node : node == size - 1 ? 1 : node + 1;
    }
    return wrapped(place + root, size);
  }
};

/// Distance between slots of scratch that hold up to `length` elements each.
constexpr std::uint64_t slot_stride(const Shape& shape, std::uint64_t length) {
  return (length + shape.alignment - 1) / shape.alignment * shape.alignment;
}

}  // namespace paceline::collectives
