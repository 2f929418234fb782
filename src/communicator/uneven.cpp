#include "communicator/uneven.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "communicator/arguments.h"
#include "paceline/error.h"

namespace paceline {

namespace {

using Block = engine::Extents::Block;

[[noreturn]] void refuse(const std::string& text) {
  throw Error(ErrorCode::invalid_argument, text);
}

/// "in" or "out" of a call, and the list of its blocks.
struct Side {
  const char* name;
  const void* pointer;
  const CountsPerRank& given;
  bool per_rank;  ///< else the one block
  int number;     ///< of blocks; 0: this rank has none
};

void check_lists(const Side& side, int size) {
  const auto ranks = static_cast<std::size_t>(size);
  const std::string name = side.name;
  if (side.given.counts.size() != ranks) {
    refuse("the counts of " + name + " are " + std::to_string(side.given.counts.size()) + " for " +
           std::to_string(ranks) + " ranks: give one for each rank");
  }
  if (!side.given.displacements.empty() && side.given.displacements.size() != ranks) {
    refuse("the displacements of " + name + " are " +
           std::to_string(side.given.displacements.size()) + " for " + std::to_string(ranks) +
           " ranks: give one for each rank, or none for blocks that lie one behind the other");
  }
}

void check_disjoint(const Side& side, const std::vector<Block>& blocks) {
  std::vector<std::size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t i) { return blocks[i].length == 0; });
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return blocks[a].offset < blocks[b].offset; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const Block& before = blocks[order[i - 1]];
    const Block& next = blocks[order[i]];
    if (before.offset + before.length <= next.offset) continue;
    refuse("the blocks of rank " + std::to_string(order[i - 1]) + " and rank " +
           std::to_string(order[i]) + " overlap in " + side.name + ": elements " +
           std::to_string(before.offset) + " to " +
           std::to_string(before.offset + before.length - 1) + " and from " +
           std::to_string(next.offset) + " on; give disjoint blocks");
  }
}

std::vector<Block> blocks_of(const Side& side, int size, std::size_t count, DataType type) {
  if (side.number == 0) return {};
  if (!side.per_rank) {
    check_count(count, type);
    check_pointer(side.pointer, side.name, count, type);
    return {{0, count}};
  }
  check_lists(side, size);
  std::vector<Block> blocks;
  std::size_t total = 0;
  std::size_t longest = 0;
  for (std::size_t r = 0; r < static_cast<std::size_t>(size); ++r) {
    const std::size_t length = side.given.counts[r];
    check_count(length, type);
    const std::size_t offset =
        side.given.displacements.empty() ? total : side.given.displacements[r];
    check_count(offset, type);
    blocks.push_back({offset, length});
    total = offset + length;
    check_count(total, type);
    longest = std::max(longest, length);
  }
  check_pointer(side.pointer, side.name, longest, type);
  if (!side.given.displacements.empty()) check_disjoint(side, blocks);
  return blocks;
}

/// In place: the only block of one side is the rank's own of the other, or both sides are the same.
void check_overlap(const UnevenArguments& a, const engine::Extents& extents, int rank,
                   const Side& in, const Side& out) {
  using collectives::Buffer;
  const std::size_t element = size_of(a.type);
  const auto at_in = reinterpret_cast<std::uintptr_t>(a.in);
  const auto at_out = reinterpret_cast<std::uintptr_t>(a.out);
  const std::size_t in_bytes = extents.end(Buffer::input) * element;
  const std::size_t out_bytes = extents.end(Buffer::output) * element;
  if (in_bytes == 0 || out_bytes == 0) return;
  if (at_in + in_bytes <= at_out || at_out + out_bytes <= at_in) return;
  const auto own = static_cast<std::uint64_t>(rank);
  const bool both = in.per_rank && out.per_rank;
  const std::uint64_t begin_in =
      at_in + (both ? 0 : extents.block(Buffer::input, own).offset * element);
  const std::uint64_t begin_out =
      at_out + (both ? 0 : extents.block(Buffer::output, own).offset * element);
  if (begin_in == begin_out) return;
  refuse(std::string("in and out overlap: give disjoint buffers, or ") +
         (both ? "in = out" : "the own block of the one with a block for each rank") +
         " for a call in place");
}

}  // namespace

engine::Call UnevenArguments::call() const {
  return {collective, type, op.op(), Algorithm::direct, root, engine::Call::kPerRank};
}

engine::Buffers UnevenArguments::buffers(int rank, int size) const {
  check_type(type);
  if (reduces(collective)) check_reduction(op, type);
  if (has_root(collective)) check_root(root, size);
  // With two ranks, what has a block for each has two at the root.
  const Blocks of_two = paceline::blocks_of(collective, 0, 2, 0);
  const Blocks mine = paceline::blocks_of(collective, rank, size, root);
  const Side input{"in", in, in_blocks, of_two.input == 2, mine.input};
  const Side output{"out", out, out_blocks, of_two.output == 2, mine.output};
  // Of all_gather_v and reduce_scatter_v everybody knows all counts.
  std::size_t single = count;
  if (!has_root(collective) && input.per_rank != output.per_rank) {
    const Side& list = input.per_rank ? input : output;
    check_lists(list, size);
    single = list.given.counts[static_cast<std::size_t>(rank)];
  }
  const auto extents = std::make_shared<const engine::Extents>(
      blocks_of(input, size, single, type), blocks_of(output, size, single, type),
      has_root(collective) && rank == root ? engine::Extents::Single::kept
                                           : engine::Extents::Single::exchanged);
  check_overlap(*this, *extents, rank, input, output);
  return {mine.input > 0 ? static_cast<const std::byte*>(in) : nullptr,
          mine.output > 0 ? static_cast<std::byte*>(out) : nullptr, extents, op.factor(),
          op.function()};
}

}  // namespace paceline
