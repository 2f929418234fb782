// Placements of ranks on hosts that the verifier is run over.
#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "collectives/variants.h"

namespace paceline::collectives {

/// What knows of hosts.
inline constexpr Case kHierarchicalCases[] = {kHierarchical, kHierarchicalReduceScatter,
                                              kHierarchicalAllGather, kHierarchicalBroadcast};

/// As for sizes: a sanitizer makes the verifier ten times slower, and finds nothing in schedules.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr int kMostPlaced = 10;
#else
inline constexpr int kMostPlaced = 24;
#endif

/// Of `size` ranks: all on one host, each on its own, blocks, in turn, and unequal ones: one large
/// host beside small ones, each as large again as the one before, and at random.
inline std::vector<const Placement*> placements(int size) {
  std::vector<const Placement*> all;
  const auto add = [&](const Placement* placement) {
    if (std::find(all.begin(), all.end(), placement) == all.end()) all.push_back(placement);
  };
  for (const int ranks : {1, 2, 3, 4, 8, size}) add(in_blocks(size, std::min(ranks, size)));
  for (const int hosts : {2, 3, 4, 5}) add(in_turn(size, std::min(hosts, size)));
  add(placed(size, [&](int rank) { return std::max(0, rank - size / 2); }));
  add(placed(size, [&](int rank) { return std::bit_width(static_cast<unsigned>(rank)); }));
  for (const std::uint64_t hosts : {2U, 3U, 6U}) {
    add(placed(size, [&](int rank) {
      return static_cast<int>(hashed(static_cast<std::uint64_t>(rank + size)) % hosts);
    }));
  }
  return all;
}

inline constexpr Wiring kPlacedWirings[] = {Wiring::hosts,          Wiring::hosts_of_kinds,
                                            Wiring::mapped,         Wiring::puttable,
                                            Wiring::staged_on_wire, Wiring::arbitrary};

inline void prove_placement(const Case& what, const Placement* placement, Extent extent,
                            std::uint64_t seed, Stopwatch& stopwatch) {
  const std::vector<std::uint64_t> counts = counts_for(placement->size());
  for (const Wiring wiring : kPlacedWirings) {
    for (const bool in_place : {false, true}) {
      if (in_place && !can_be_in_place(what.collective)) continue;
      for (const std::uint64_t alignment : kAlignments) {
        for (const std::uint64_t count : counts) {
          seed = hashed(seed);
          if (extent != Extent::every && seed % (2 * counts.size()) != 0) continue;
          const auto size = static_cast<std::uint64_t>(placement->size());
          expect_proven({.what = what,
                         .shape = {.size = placement->size(),
                                   .count = count,
                                   .root = static_cast<int>((seed >> 16) % size),
                                   .alignment = alignment,
                                   .placement = placement},
                         .in_place = in_place,
                         .wiring = wiring,
                         .seed = seed});
          stopwatch.count();
          if (testing::Test::HasFailure()) return;
        }
      }
    }
  }
}

}  // namespace paceline::collectives
