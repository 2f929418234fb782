// Multiplying a buffer by a number: what premul_sum does to a rank's contribution.
#pragma once

#include <cstddef>

#include "paceline/types.h"

namespace paceline::memory {

/// out[i] = in[i] * factor for `count` elements of a floating point type; `factor` points to one
/// element of that type, at any address. 16 and 8 bits are multiplied as float32 and rounded once,
/// as in floats.h. `in` and `out` are aligned to the element, and the same or disjoint.
void scale(DataType type, const void* factor, const std::byte* in, std::byte* out,
           std::size_t count);

}  // namespace paceline::memory
