// Combining buffers element by element: the arithmetic of every reduction on the host.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "paceline/types.h"

namespace paceline::memory {

using Sources = std::span<const std::byte* const>;
using Destinations = std::span<std::byte* const>;

/// For each of `count` elements: ((s0 op s1) op s2) ... over the sources in the order given, stored
/// in every destination. One pass, each source read once. Needs at least one source (one alone is a
/// copy) and one destination.
///
/// Pointers are aligned to the element. A destination may be exactly a source; other overlaps, of
/// a destination with a source or of two destinations, are not allowed.
///
/// The bits of the result depend on the operands alone, not on the instruction set, alignment or
/// count; only which NaN comes out of several is left open.
void reduce(DataType type, ReduceOp op, Sources sources, Destinations destinations,
            std::size_t count);

/// The instruction set in use on this machine, e.g. "AVX3".
std::string_view reduce_instruction_set();

}  // namespace paceline::memory
