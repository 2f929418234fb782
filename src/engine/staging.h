// Copies of the caller's buffers, for calls whose steps cannot work on those themselves:
//
//   in pieces        input and output lie in many places (a group's calls fused into one)
//   foreign memory   only its kind's driver can copy it
//   premul_sum       the contribution is multiplied first
//   all_to_all       in place: each block is read by one rank and written by another
//
// What is given is copied before the first step, what comes out after the last; an operation that
// fails writes nothing. The copies lie in registered memory that peers on the host can map, one
// for inputs and one for outputs, which grow to the largest need and serve one operation at a time.
// An all_reduce and a broadcast take place in the first alone.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "engine/rotating_memory.h"
#include "paceline/types.h"

namespace paceline::engine {

/// A stretch of the caller's memory, and where it lies in the copy; bytes.
struct Piece {
  std::byte* memory = nullptr;
  std::size_t offset = 0;
  std::size_t bytes = 0;
};
struct Pieces {
  std::vector<Piece> input;  ///< only ever read
  std::vector<Piece> output;
};

/// Threads: the owner of progress only.
class Staging {
 public:
  /// `lap`: how many bytes are used before the same ones are used again.
  Staging(const std::shared_ptr<memory::Registrar>& registrar, std::size_t lap)
      : lap_(lap), input_(registrar), output_(registrar) {}

  /// Room for an input or an output of so many bytes; what it held is lost.
  std::byte* input(std::size_t bytes) { return input_.take(bytes, lap_); }
  std::byte* output(std::size_t bytes) { return output_.take(bytes, lap_); }
  /// Held at the moment.
  [[nodiscard]] std::size_t bytes() const { return input_.size() + output_.size(); }

  /// Into the copy and back, by whoever can touch the piece's memory.
  static void load(const Piece& piece, std::byte* copy);
  static void store(const Piece& piece, const std::byte* copy);
  /// Multiplies `count` elements of a copy by `factor`, rounded to their type.
  static void scale(std::byte* copy, std::size_t count, DataType type, double factor);

 private:
  std::size_t lap_;
  RotatingMemory input_;
  RotatingMemory output_;
};

}  // namespace paceline::engine
