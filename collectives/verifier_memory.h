// The memory of all ranks, cell by cell: what is in a cell, and which accesses to it must be over
// before the next one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collectives/verifier.h"
#include "collectives/verifier_order.h"
#include "collectives/verifier_slices.h"

namespace paceline::collectives::verifier {

/// A cell's content is a sum of tags. A write waits for the last write and all reads since; a read
/// waits for the last write. Reads that are over for a later read are forgotten, so there is rarely
/// more than one to remember.
struct Cell {
  std::uint64_t value = 0;
  Access write = {};
  Access read = {};
  std::uint32_t more_reads = 0;  ///< index into Memory::more_reads_; 0: none
};

/// Where some cells are, for the text of a violation.
struct Place {
  OwnedSlice where = {};
  bool shadow = false;
  int instance = 0;
};

/// Instances have inputs and outputs of their own, which vanish when the owner ends its instance;
/// scratches are used in turn, each with its shadow.
class Memory {
 public:
  Memory(const Shape& shape, const VerifyOptions& options, const Layout& layout, Order& order,
         const std::vector<std::unique_ptr<Schedule>>& schedules);

  /// The cells of a slice. Throws Violation if the owner has ended that instance.
  std::span<Cell> cells(const Place& place);

  /// Accesses by the present step of `rank`, noted as `as`: itself or a put of its. Throw Violation
  /// if they race with one before, or if what is read was never written.
  std::uint64_t read(Cell& cell, int rank, const Access& as, const Place& place);
  void write(Cell& cell, int rank, const Access& as, std::uint64_t value, const Place& place);

  /// The owner ends an instance: its output must be right, and nobody else may still be at its
  /// input or output.
  void end(int owner, int instance);
  /// The owner ends the operation: nobody else may still be at its scratches or shadows, which are
  /// the next operation's then.
  void end_operation(int owner);

  /// What a cell of an output holds in the end.
  [[nodiscard]] std::uint64_t expected(int owner, int instance, std::size_t cell);
  /// The tick at which a rank enters an instance.
  [[nodiscard]] Tick entered(int rank, int instance) const;
  /// "step 7 of instance 1 of rank 3".
  [[nodiscard]] std::string describe(const Access& access) const;

 private:
  /// What one rank has in one instance. In place, the shorter one of input and output is a block of
  /// the longer one, which is in `output` if they are equally long.
  struct Instance {
    std::vector<Cell> input;
    std::vector<Cell> output;
    bool begun = false;
    bool ended = false;
  };

  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  Instance& instance(int owner, int number);
  [[nodiscard]] bool contributes(int rank) const;
  [[nodiscard]] std::uint64_t tag(int rank, int instance, std::size_t cell) const;
  /// Cells of an input or output, wherever they are.
  std::span<Cell> buffer(Instance& of, int owner, Buffer buffer);
  /// The sum of everybody's tags in a cell of the input.
  std::uint64_t sum(int instance, std::size_t cell);
  [[nodiscard]] std::string describe(const Place& place) const;
  void forget_reads(Cell& cell);
  /// Throws Violation if an access by another rank is not over for the owner of the cell, who ends
  /// something (`what`).
  void require_idle(int owner, const Access& access, bool over, const std::string& what,
                    const Place& place) const;
  void require_idle(int owner, const Cell& cell, const std::string& what, const Place& place);

  Shape shape_;
  const VerifyOptions& options_;
  const Layout& layout_;
  Order& order_;
  bool in_place_;
  std::vector<std::uint64_t> ticks_;  ///< of an instance, per rank: its steps and one to enter it
  std::vector<std::vector<Instance>> instances_;         // [rank][instance]
  std::vector<std::vector<std::vector<Cell>>> scratch_;  // [rank][scratch]
  std::vector<std::vector<std::vector<Cell>>> shadow_;   // [rank][scratch]
  std::vector<std::vector<std::uint64_t>> sums_;         // [instance], computed when needed
  std::vector<std::vector<Access>> more_reads_;
  std::vector<std::uint32_t> free_reads_;
};

}  // namespace paceline::collectives::verifier
