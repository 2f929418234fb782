// The arguments of a collective whose blocks have a length per rank.
#pragma once

#include <cstddef>

#include "engine/call.h"
#include "engine/operation.h"
#include "paceline/counts.h"
#include "paceline/reduction.h"
#include "paceline/types.h"

namespace paceline {

/// As the caller wrote it. Of a buffer that holds one block only, `count` is the length; where all
/// ranks give the same counts, that is the rank's own.
struct UnevenArguments {
  Collective collective = Collective::all_gather;
  const void* in = nullptr;
  CountsPerRank in_blocks = {};
  void* out = nullptr;
  CountsPerRank out_blocks = {};
  std::size_t count = 0;
  DataType type = DataType::float32;
  Reduction op = ReduceOp::sum;
  int root = 0;

  /// The signature, with the algorithm.
  [[nodiscard]] engine::Call call() const;
  /// Checks everything, and works out where the blocks are. Throws Error (invalid_argument): what
  /// was given, what is allowed, what to do.
  [[nodiscard]] engine::Buffers buffers(int rank, int size) const;
};

}  // namespace paceline
