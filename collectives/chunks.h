// What is cut into what: the chunks of a shape, with the divisions done once, and whole blocks.
#pragma once

#include <algorithm>
#include <cstdint>

#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {

class Chunks {
 public:
  constexpr explicit Chunks(const Shape& shape) : count_(shape.count) {
    const std::uint64_t share = divided_up(count_, static_cast<std::uint64_t>(shape.size));
    length_ = divided_up(share, shape.alignment) * shape.alignment;
    whole_ = length_ == 0 ? 0 : count_ / length_;
  }

  /// Of all chunks but the last ones; a multiple of the alignment.
  [[nodiscard]] constexpr std::uint64_t length() const { return length_; }

  [[nodiscard]] constexpr ChunkBounds at(int chunk) const {
    const auto number = static_cast<std::uint64_t>(chunk);
    // Comparing first keeps number * length_ in range for the empty chunks behind the end.
    if (number > whole_) return {count_, 0};
    const std::uint64_t offset = number * length_;
    return {offset, std::min(length_, count_ - offset)};
  }
  [[nodiscard]] constexpr Slice slice(Buffer buffer, int chunk) const {
    const ChunkBounds bounds = at(chunk);
    return {buffer, bounds.offset, bounds.length};
  }

 private:
  static constexpr std::uint64_t divided_up(std::uint64_t a, std::uint64_t b) {
    return a / b + (a % b != 0 ? 1 : 0);
  }

  std::uint64_t count_;
  std::uint64_t length_ = 0;
  std::uint64_t whole_ = 0;  ///< chunks that are not shorter
};

/// Block `number` of an input or output, and the one block where there is only one.
constexpr Slice block(const Shape& shape, Buffer buffer, int number = 0) {
  return {buffer, static_cast<std::uint64_t>(number) * shape.count, shape.count};
}

/// A reduction whose work is divided among all ranks: rank r finishes part r of everybody's input.
/// Parts are the chunks of the one block or, for a reduce_scatter, the blocks, of which each rank's
/// output has just its own.
class Parts {
 public:
  constexpr Parts(const Shape& shape, bool whole_blocks)
      : shape_(shape), chunks_(shape), whole_blocks_(whole_blocks) {}

  /// Distance of slots of scratch that hold a part each.
  [[nodiscard]] constexpr std::uint64_t stride() const {
    return whole_blocks_ ? slot_stride(shape_, shape_.count) : chunks_.length();
  }
  [[nodiscard]] constexpr Slice input(int number) const {
    return whole_blocks_ ? block(shape_, Buffer::input, number)
                         : chunks_.slice(Buffer::input, number);
  }
  [[nodiscard]] constexpr Slice output(int number) const {
    return whole_blocks_ ? block(shape_, Buffer::output) : chunks_.slice(Buffer::output, number);
  }

 private:
  Shape shape_;
  Chunks chunks_;
  bool whole_blocks_;
};

}  // namespace paceline::collectives
