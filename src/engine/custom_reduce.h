// Combining by the caller's own function.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "paceline/reduction.h"
#include "paceline/types.h"

namespace paceline::engine {

class CustomReduce {
 public:
  /// destinations[j][i] = sources[0][i] combined with sources[1][i], and so on, in that order. A
  /// destination may be equal to a source. What the function throws comes out.
  void run(const ReduceFunction& function, DataType type, std::span<const std::byte* const> sources,
           std::span<std::byte* const> destinations, std::size_t count);

 private:
  /// A piece of the result, aligned for any type.
  std::vector<std::max_align_t> room_;
};

}  // namespace paceline::engine
