#include "communicator/arguments.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "collectives/schedule.h"
#include "paceline/error.h"

namespace paceline {

namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw Error(ErrorCode::invalid_argument, text);
}

// "float32 (1), float64 (2), ... and boolean (13)": the enumerators, which have no gaps.
template <class Enum>
std::string list_of() {
  std::string list;
  for (int i = 1; is_valid(static_cast<Enum>(i)); ++i) {
    if (i > 1) list += is_valid(static_cast<Enum>(i + 1)) ? ", " : " and ";
    list += std::string(to_string(static_cast<Enum>(i))) + " (" + std::to_string(i) + ")";
  }
  return list;
}

void check_algorithm(Collective collective, Algorithm algorithm) {
  if (collectives::offers(collective, algorithm)) return;
  std::string offered;
  for (const Algorithm a : collectives::algorithms_of(collective)) {
    offered += (offered.empty() ? "" : ", ") + std::string(to_string(a));
  }
  refuse("algorithm " + std::string(to_string(algorithm)) + " does not offer " +
         std::string(to_string(collective)) + ": " + offered + " do");
}

// How an in-place call is written.
std::string in_place_form(const Blocks& blocks) {
  if (blocks.input < blocks.output) return "in = out + rank * count elements for a call in place";
  if (blocks.output < blocks.input) return "out = in + rank * count elements for a call in place";
  return "the same buffer for both";
}

void check_overlap(const Arguments& a, int rank, const Blocks& blocks) {
  if (blocks.input == 0 || blocks.output == 0 || a.count == 0) return;
  const std::size_t block = a.count * size_of(a.type);
  const auto in = reinterpret_cast<std::uintptr_t>(a.in);
  const auto out = reinterpret_cast<std::uintptr_t>(a.out);
  const std::size_t in_bytes = static_cast<std::size_t>(blocks.input) * block;
  const std::size_t out_bytes = static_cast<std::size_t>(blocks.output) * block;
  if (in + in_bytes <= out || out + out_bytes <= in) return;
  // In place, the shorter buffer is the rank's own block of the longer one.
  const std::size_t own = static_cast<std::size_t>(rank) * block;
  const std::uintptr_t begin_in = in + (blocks.input > blocks.output ? own : 0);
  const std::uintptr_t begin_out = out + (blocks.output > blocks.input ? own : 0);
  if (begin_in == begin_out) return;
  refuse("in and out overlap: they start " + std::to_string(in < out ? out - in : in - out) +
         " bytes apart, in is " + std::to_string(in_bytes) + " bytes long and out " +
         std::to_string(out_bytes) + "; give disjoint buffers, or " + in_place_form(blocks));
}

}  // namespace

void check_type(DataType type) {
  if (is_valid(type)) return;
  refuse("type " + std::to_string(static_cast<int>(type)) +
         " is not a DataType: " + list_of<DataType>() + " are");
}

void check_reduction(const Reduction& reduction, DataType type) {
  const ReduceOp op = reduction.op();
  if (!is_valid(op)) {
    refuse("operation " + std::to_string(static_cast<int>(op)) +
           " is not a ReduceOp: " + list_of<ReduceOp>() + " are");
  }
  if (!offers(op, type)) {
    refuse(std::string(to_string(op)) + " of " + std::string(to_string(type)) +
           " is not offered: " + std::string(kOffered));
  }
  if (op == ReduceOp::premul_sum && !reduction.has_factor()) {
    refuse("premul_sum needs this rank's factor: give Reduction::premul_sum(factor)");
  }
  if (op == ReduceOp::custom && reduction.function() == nullptr) {
    refuse("custom needs a function: give Reduction::custom(function)");
  }
}

void check_root(int root, int size) {
  if (root >= 0 && root < size) return;
  refuse("root " + std::to_string(root) + " is not a rank of this communicator: 0 to " +
         std::to_string(size - 1) + " are");
}

void check_pointer(const void* pointer, const char* name, std::size_t count, DataType type) {
  if (count == 0) return;
  if (pointer == nullptr) {
    refuse(std::string(name) + " is null for " + std::to_string(count) +
           " elements: give a buffer, or a count of 0");
  }
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  if ((address & (size_of(type) - 1)) != 0) {  // sizes are powers of two
    refuse(std::string(name) + " is at an address that is not a multiple of " +
           std::to_string(size_of(type)) + ", the size of " + std::string(to_string(type)) +
           ": align it");
  }
}

void check_count(std::size_t count, DataType type, int blocks) {
  if (count <= SIZE_MAX / 2 / size_of(type) / static_cast<std::size_t>(blocks)) return;
  refuse("a count of " + std::to_string(count) + " elements of " + std::to_string(size_of(type)) +
         " bytes" + (blocks == 1 ? "" : " for each of " + std::to_string(blocks) + " ranks") +
         " does not fit into memory");
}

Blocks Arguments::check_signature(int rank, int size) const {
  if (options.algorithm != Algorithm::automatic) check_algorithm(collective, options.algorithm);
  if (collective == Collective::barrier) return {};
  check_type(type);
  if (reduces(collective)) check_reduction(op, type);
  if (has_root(collective)) check_root(root, size);
  const Blocks mine = blocks_of(collective, rank, size, root);
  check_count(count, type, std::max({mine.input, mine.output, 1}));
  return mine;
}

void Arguments::check_buffers(int rank, const Blocks& mine) const {
  const auto from = reinterpret_cast<std::uintptr_t>(in);
  const auto to = reinterpret_cast<std::uintptr_t>(out);
  const bool in_place = in == out && mine.input == mine.output;
  if (in != nullptr && out != nullptr && ((from | to) & (size_of(type) - 1)) == 0) [[likely]] {
    // Mostly: in place, or as far apart as the longer one is long.
    const auto blocks = static_cast<std::size_t>(std::max(mine.input, mine.output));
    const std::uintptr_t apart = from < to ? to - from : from - to;
    if (in_place || apart >= blocks * count * size_of(type)) return;
  }
  const bool one = collective == Collective::broadcast;
  if (mine.input > 0) check_pointer(in, one ? "buffer" : "in", count, type);
  if (mine.output > 0) check_pointer(out, one ? "buffer" : "out", count, type);
  if (!in_place) check_overlap(*this, rank, mine);
}

engine::Call Arguments::call() const {
  return {collective, type, op.op(), options.algorithm, root, count};
}

engine::Buffers Arguments::buffers(const Blocks& mine) const {
  return {mine.input > 0 ? static_cast<const std::byte*>(in) : nullptr,
          mine.output > 0 ? static_cast<std::byte*>(out) : nullptr,
          {},
          op.factor(),
          op.function()};
}

}  // namespace paceline
