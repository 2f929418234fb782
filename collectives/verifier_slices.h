// Cutting memory into cells: the verifier's unit of memory is not the element but the interval
// between two neighbouring boundaries of slices, since a schedule treats all its elements alike.
//
// Slices that one step relates to each other (source and target of a put, the operands of a reduce)
// must be cut at the same places, counted from their beginnings. In a schedule of whole chunks they
// are from the start; otherwise close() carries the cuts over until nothing changes.
//
// Inputs and outputs are cut block by block, all blocks of all ranks alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "collectives/schedule.h"

namespace paceline::collectives::verifier {

/// Thrown at the first violation, caught by verify().
struct Violation {
  std::string text;
};

/// "scratch [16, 32)".
std::string describe(const Slice& slice);
/// "put to rank 3 of input [0, 16) into its scratch [0, 16)".
std::string describe(const Step& step);

/// Sorted distinct boundaries. Cell k is the interval from boundary k to boundary k + 1.
class Cuts {
 public:
  /// Boundaries at both ends, so that the whole range is covered.
  explicit Cuts(std::uint64_t length) : boundaries_{0, length} {}
  void add(std::uint64_t boundary) {
    boundaries_.push_back(boundary);
    // Sorting when most is new again keeps memory near the number of distinct boundaries.
    if (boundaries_.size() > 2 * sorted_ + 64) sort();
  }
  void sort();
  /// The following need sort() after the last add().
  [[nodiscard]] std::size_t cells() const { return boundaries_.size() - 1; }
  /// Index of a boundary that is there.
  [[nodiscard]] std::size_t index(std::uint64_t boundary) const;
  [[nodiscard]] std::uint64_t at(std::size_t index) const { return boundaries_[index]; }

 private:
  std::vector<std::uint64_t> boundaries_;
  std::size_t sorted_ = 0;
};

struct OwnedSlice {
  int owner = -1;
  Slice slice = {};
};

/// The schedules of all ranks and how their memory is cut.
/// Neighbouring cells of one buffer.
struct CellRange {
  std::size_t first = 0;
  std::size_t count = 0;
};

class Layout {
 public:
  /// Throws Violation for slices out of bounds or across blocks, operands of different lengths,
  /// writes into an input, and ranks that do not exist.
  Layout(Collective collective, const Shape& shape,
         const std::vector<std::unique_ptr<Schedule>>& schedules);

  /// How many cells a buffer has, and a block of an input or output.
  [[nodiscard]] std::size_t cells(int owner, Buffer buffer) const;
  [[nodiscard]] std::size_t block_cells() const { return block_.cells(); }
  /// Those of a slice; the shadow is cut as the output.
  [[nodiscard]] CellRange range(const OwnedSlice& of) const;
  /// The elements of a cell.
  [[nodiscard]] Slice slice(int owner, Buffer buffer, std::size_t cell) const;
  /// True if the two slices, of the same length, are cut at the same places.
  [[nodiscard]] bool cut_alike(const OwnedSlice& a, const OwnedSlice& b) const;
  /// Makes all related slices cut alike.
  void close();

 private:
  [[nodiscard]] const Cuts& cuts(int owner, Buffer buffer) const {
    return buffer == Buffer::scratch ? scratch_[static_cast<std::size_t>(owner)] : block_;
  }
  [[nodiscard]] Cuts& cuts(int owner, Buffer buffer) {
    return buffer == Buffer::scratch ? scratch_[static_cast<std::size_t>(owner)] : block_;
  }
  /// Where a slice begins in what cuts() cuts.
  [[nodiscard]] std::uint64_t begin(const Slice& slice) const {
    return slice.buffer == Buffer::scratch || shape_.count == 0 ? slice.offset
                                                                : slice.offset % shape_.count;
  }
  /// Stretches that are cut alike; a scratch is one.
  [[nodiscard]] std::uint64_t blocks(int owner, Buffer buffer) const;
  [[nodiscard]] std::uint64_t length_of(int owner, Buffer buffer) const;
  /// Fills related_ with the slices that step i of `rank` relates.
  void relate(int rank, std::uint64_t i);
  void relate_operands(int rank, std::uint64_t i, const Step& step);
  void check(int rank, std::uint64_t i, const OwnedSlice& one, bool written) const;
  [[noreturn]] void fail(int rank, std::uint64_t i, const std::string& what) const;
  bool carry_over();
  void sort();

  Collective collective_;
  Shape shape_;
  const std::vector<std::unique_ptr<Schedule>>& schedules_;
  std::vector<std::uint64_t> scratch_length_;
  Cuts block_;
  std::vector<Cuts> scratch_;
  std::vector<OwnedSlice> related_;
};

}  // namespace paceline::collectives::verifier
