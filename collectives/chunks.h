// The chunks of a shape, with the divisions done once.
#pragma once

#include <algorithm>
#include <cstdint>

#include "collectives/schedule.h"

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

}  // namespace paceline::collectives
