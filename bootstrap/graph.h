// Who holds a control link with whom, and who sends what to whom in an all_gather: arithmetic only.
//
// The all_gather is Bruck's. In round k a rank sends all it has so far, the blocks of itself and
// of the 2^k - 1 ranks after it, to the rank 2^k before it, and gets as much from the rank 2^k
// after it; in the last round only what is still missing. After ceil(log2 size) rounds it is done
// for any size.
//
// So each rank talks to those 2^k before and after it, and these links are kept as the control
// graph. A binomial tree is part of it (the parent is r minus its lowest bit), but the whole graph
// does better for news: with the last ranks' numbers wrapping round to the first's, taking away
// fewer ranks than the degree (about 2 log2 size) never cuts it in two, where a tree is cut by any
// inner node.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace paceline::bootstrap {

/// Rounds of an all_gather: ceil(log2(size)).
constexpr int rounds(int size) {
  return size <= 1 ? 0 : std::bit_width(static_cast<std::uint32_t>(size - 1));
}

constexpr int rank_after(int rank, int distance, int size) {
  return (rank + distance) % size;
}
constexpr int rank_before(int rank, int distance, int size) {
  return (rank + size - distance) % size;
}

constexpr int sends_to(int rank, int round, int size) {
  return rank_before(rank, 1 << round, size);
}
constexpr int receives_from(int rank, int round, int size) {
  return rank_after(rank, 1 << round, size);
}
/// How many blocks travel in a round.
constexpr int blocks_in(int round, int size) {
  return std::min(1 << round, size - (1 << round));
}

/// In ascending order; symmetric: b is a neighbour of a exactly if a is one of b.
inline std::vector<int> neighbours(int rank, int size) {
  std::vector<int> result;
  for (int k = 0; k < rounds(size); ++k) {
    result.push_back(sends_to(rank, k, size));
    result.push_back(receives_from(rank, k, size));
  }
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

}  // namespace paceline::bootstrap
