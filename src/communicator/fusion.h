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
  /// Of larger blocks the two copies cost more than a call of its own: between two ranks in shared
  /// memory 100 blocks of 1 KiB took 0.5 of the time, of 16 KiB 0.8, of 64 KiB 1.1; over TCP 0.1,
  /// 0.6 and 1.2 (bench/group_bench).
  std::size_t largest_block = 16 * 1024;
  /// Of all blocks of a fused call: what is copied at a time, which has to stay in a core's second
  /// cache until it has been combined. With calls of 4 MiB, 100 blocks of 16 KiB took 0.95 of the
  /// time over shared memory, 0.75 over TCP.
  std::size_t largest_call = 256 * 1024;
};

/// The calls to make instead, in an order that depends on the calls only, so that it is the same on
/// all ranks. Calls that wish for different algorithms are not alike.
std::vector<ReadyCall> fuse(std::vector<ReadyCall> calls, int rank, int size,
                            const FusionLimits& limits = {});

}  // namespace paceline
