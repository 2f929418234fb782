// What a caller gives to a collective: checked before anything is sent, so that a mistake leaves
// the communicator usable.
#pragma once

#include <cstddef>

#include "engine/call.h"
#include "engine/operation.h"
#include "paceline/communicator.h"
#include "paceline/reduction.h"
#include "paceline/types.h"

namespace paceline {

/// A collective as the caller wrote it. `count` is that of a block: see collectives/schedule.h.
struct Arguments {
  Collective collective = Collective::barrier;
  const void* in = nullptr;
  void* out = nullptr;
  std::size_t count = 0;
  DataType type = DataType::float32;
  Reduction op = ReduceOp::sum;
  int root = 0;
  CallOptions options = {};

  /// Throws Error (invalid_argument): what was given, what is allowed, what to do. The blocks that
  /// this rank gives and gets, if all but the buffers is right.
  [[nodiscard]] Blocks check_signature(int rank, int size) const;
  /// The same of the buffers.
  void check_buffers(int rank, const Blocks& mine) const;
  /// The signature, with the algorithm that the caller wishes.
  [[nodiscard]] engine::Call call() const;
  /// Without what this rank does not have, like the output of a reduce beside the root.
  [[nodiscard]] engine::Buffers buffers(const Blocks& mine) const;
};

void check_type(DataType type);
void check_reduction(const Reduction& op, DataType type);
void check_root(int root, int size);
/// `name` is the caller's name of the buffer. Null is fine for no elements.
void check_pointer(const void* pointer, const char* name, std::size_t count, DataType type);
void check_count(std::size_t count, DataType type, int blocks = 1);

}  // namespace paceline
