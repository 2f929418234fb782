// One call of memory::reduce, and the files that share the work: a group of types each.
#pragma once

#include <cstddef>
#include <cstdint>

#include "memory/reduce.h"
#include "paceline/types.h"

namespace paceline::memory {

/// Checked: a type and an operation that go together, a source and a destination at least, and
/// something to combine (a plain copy does not come here).
struct ReduceCall {
  DataType type;
  ReduceOp op;
  Sources sources;
  Destinations destinations;
  std::size_t count;
  std::uint32_t divisor;  ///< avg's; 1 for all others
  std::size_t streamed;
};

void reduce_floats(const ReduceCall& call);    ///< float32, float64
void reduce_narrow(const ReduceCall& call);    ///< floating point of 16 and 8 bits
void reduce_integers(const ReduceCall& call);  ///< all of them, and bool

}  // namespace paceline::memory
