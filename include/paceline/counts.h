// Blocks with a length per rank.
#pragma once

#include <cstddef>
#include <span>

namespace paceline {

/// A buffer with a block for each rank: block r has counts[r] elements and begins displacements[r]
/// elements after the start of the buffer. Without displacements the blocks lie one behind the
/// other. Blocks must not overlap. The spans are read before the call returns, also by the forms
/// that return Work.
struct CountsPerRank {
  std::span<const std::size_t> counts;
  std::span<const std::size_t> displacements = {};
};

}  // namespace paceline
