// Where the blocks of a call lie that have a length per rank (the v-forms), in one rank's buffers.
//
// A rank knows the lengths of its own blocks only, which may be all that it gives and gets (of an
// all_to_all, say). So nothing is cut by the longest block of all ranks: every block is cut into
// segments of the same length, and instance i of the schedule covers segment i of each. An edge
// takes part in as many instances as the longer of its two blocks has segments. Both ends know
// those two and compare them before anything is written; nobody else needs to.
//
// This holds for the direct algorithms, in which a rank touches one block of a peer's input and one
// of its output at most: what the one gives the other.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "collectives/schedule.h"

namespace paceline::engine {

class Extents {
 public:
  /// In elements, from the start of the buffer.
  struct Block {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };
  /// What the only block of a buffer is for.
  enum class Single : std::uint8_t {
    exchanged,  ///< all peers get it, or all give what ends up in it
    kept,       ///< it is the root's own part: of a gather's input, of a scatter's output
  };
  /// No blocks, one, or one for each rank.
  Extents(std::vector<Block> input, std::vector<Block> output, Single single = Single::exchanged)
      : input_(std::move(input)), output_(std::move(output)), single_(single) {}

  /// Number `number` of a buffer that has a block for each rank, else the only one.
  [[nodiscard]] Block block(collectives::Buffer buffer, std::uint64_t number) const {
    const std::vector<Block>& blocks = buffer == collectives::Buffer::input ? input_ : output_;
    if (blocks.empty()) return {};
    return blocks[blocks.size() == 1 ? 0 : number];
  }
  /// Elements that this rank gives to a peer, and that it gets from one.
  [[nodiscard]] std::uint64_t given_to(int peer) const { return exchanged(input_, peer); }
  [[nodiscard]] std::uint64_t got_from(int peer) const { return exchanged(output_, peer); }
  [[nodiscard]] const std::vector<Block>& output() const { return output_; }
  [[nodiscard]] std::uint64_t longest() const {
    std::uint64_t most = 0;
    for (const Block& b : input_) most = std::max(most, b.length);
    for (const Block& b : output_) most = std::max(most, b.length);
    return most;
  }
  /// From the start of the buffer to the end of the block that ends last.
  [[nodiscard]] std::uint64_t end(collectives::Buffer buffer) const {
    std::uint64_t last = 0;
    for (const Block& b : buffer == collectives::Buffer::input ? input_ : output_) {
      if (b.length != 0) last = std::max(last, b.offset + b.length);
    }
    return last;
  }

 private:
  [[nodiscard]] std::uint64_t exchanged(const std::vector<Block>& blocks, int peer) const {
    if (blocks.empty()) return 0;
    if (blocks.size() > 1) return blocks[static_cast<std::size_t>(peer)].length;
    return single_ == Single::kept ? 0 : blocks[0].length;
  }

  std::vector<Block> input_;
  std::vector<Block> output_;
  Single single_;
};

}  // namespace paceline::engine
