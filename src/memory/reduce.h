// Combining buffers element by element: the arithmetic of every reduction on the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "paceline/types.h"

namespace paceline::memory {

using Sources = std::span<const std::byte* const>;
using Destinations = std::span<std::byte* const>;

/// For each of `count` elements: ((s0 op s1) op s2) ... over the sources in the order given, stored
/// in every destination. One pass, each source read once. Needs at least one source (one alone is a
/// copy, bit by bit) and one destination.
///
/// Floating point of 16 and 8 bits is combined as float32 and rounded once, at the end, as in
/// floats.h. avg and premul_sum add; for avg the sum is divided by `divisor` before that rounding
/// (1: it is not); the others ignore it. docs/design/numerics.md has it all.
///
/// Pointers are aligned to the element. A destination may be exactly a source; other overlaps, of
/// a destination with a source or of two destinations, are not allowed.
///
/// The first `streamed` destinations are stored past the caches (stores.h). A hint, which float32
/// and float64 heed where those destinations begin equally far behind a cache line.
///
/// The bits of the result depend on the operands alone, not on the instruction set, alignment or
/// count; only which NaN of several comes out is left open, for float32 and float64.
void reduce(DataType type, ReduceOp op, Sources sources, Destinations destinations,
            std::size_t count, std::uint32_t divisor = 1, std::size_t streamed = 0);

/// The same of two sources into one destination, with nothing left to decide: what small calls
/// keep. A destination may be a source.
using PairReduction = void (*)(const std::byte* first, const std::byte* second, std::byte* to,
                               std::size_t count);
/// Null where there is none; reduce() does it then. For avg: its sum, without the division.
PairReduction pair_reduction(DataType type, ReduceOp op);

/// The instruction set in use on this machine, e.g. "AVX3".
std::string_view reduce_instruction_set();

}  // namespace paceline::memory
