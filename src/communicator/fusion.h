// Many small calls as few: the calls of a group that are alike (collective, type, operation, root)
// become one whose blocks are theirs, one behind the other.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/call.h"
#include "engine/operation.h"

namespace paceline {

/// A call whose arguments have been checked.
struct ReadyCall {
  engine::Call call;
  engine::Buffers buffers;
};

struct FusionLimits {
  /// Larger blocks gain nothing: two copies cost as much as a call of their own.
  std::size_t largest_block = 64 * 1024;
  /// Of all blocks of a fused call: what is copied at a time.
  std::size_t largest_call = 4 * 1024 * 1024;
};

/// The calls to make instead, in an order that depends on the calls only, so that it is the same on
/// all ranks. Calls that wish for different algorithms are not alike.
std::vector<ReadyCall> fuse(std::vector<ReadyCall> calls, int rank, int size,
                            const FusionLimits& limits = {});

}  // namespace paceline
