// Bruck's all_to_all: ceil(log2(p)) rounds for any p, each of which moves half of all blocks.
//
// Rank r's block for rank r+j has the distance j to go, and goes it bit by bit: in round k rank r
// packs all blocks that it has with bit k of j set, in the order of j, and puts them to rank r+2^k
// at once. What comes in (from r-2^k) has the same distances. A block with none of the lower bits
// set is still where it was, in the input; else it came in the round of the highest of them. In the
// end the block of distance j is from rank r-j.
//
// Each round has an area of scratch to pack into and one to receive into, so nothing is written
// over within an instance, and a block is copied once per hop: p/2 * log2(p) copies, and one for
// each block at the end.
//
// Why no flush and no credit is needed. Everybody has heard from everybody in the end, since blocks
// only arrive that way. So when an instance begins, all have ended the one before the last: what
// was put there has been received, and the areas that this one writes into are free. Inputs and
// outputs are touched by their own rank only.
#include <bit>

#include "collectives/chunks.h"
#include "collectives/listed.h"
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

class BruckAllToAll final : public Listed {
 public:
  BruckAllToAll(const Shape& shape, int rank) : Listed(rank), shape_(shape) {
    copy(block(shape, Buffer::input, rank), block(shape, Buffer::output, rank));
    for (int d = 1; d < shape.size; d *= 2) {
      const std::uint64_t blocks = ordinal(round_of(d), shape.size);
      const std::uint64_t length = blocks * shape.count;
      packed_.push_back(take_scratch(length));
      received_.push_back(take_scratch(length));
      run(blocks);
      const Slice target = {Buffer::scratch, received_.back(), length};
      put(wrapped(rank + d, shape.size), {Buffer::scratch, packed_.back(), length}, target);
      wait(wrapped(rank - d, shape.size), target);
    }
    run(static_cast<std::uint64_t>(shape.size - 1));
  }

 private:
  /// The round of a distance's highest bit.
  static int round_of(int distance) { return std::bit_width(static_cast<unsigned>(distance)) - 1; }
  /// How many distances below `end` have bit `round` set.
  static std::uint64_t ordinal(int round, int end) {
    const int bit = 1 << round;
    const int rest = (end & (2 * bit - 1)) - bit;
    return static_cast<std::uint64_t>((end >> (round + 1) << round) + (rest > 0 ? rest : 0));
  }
  /// The inverse: the i-th distance with that bit set.
  static int distance(int round, std::uint64_t i) {
    const int bit = 1 << round;
    const int number = static_cast<int>(i);
    return (number >> round << (round + 1)) | bit | (number & (bit - 1));
  }

  [[nodiscard]] Slice area(std::uint64_t begin, std::uint64_t number) const {
    return {Buffer::scratch, begin + number * shape_.count, shape_.count};
  }
  /// Where the block of a distance came in, in the round of `bits`, which is not 0.
  [[nodiscard]] Slice received(int distance, int bits) const {
    const int round = round_of(bits);
    return area(received_[static_cast<std::size_t>(round)], ordinal(round, distance));
  }

  // Run k packs for round k; the last one is of the blocks that have arrived.
  [[nodiscard]] bool packs(int run) const { return run < static_cast<int>(packed_.size()); }

  [[nodiscard]] Slice run_source(int run, std::uint64_t i) const override {
    if (!packs(run)) {
      const int last = static_cast<int>(i) + 1;
      return received(last, last);
    }
    const int j = distance(run, i);
    const int lower = j & ((1 << run) - 1);
    if (lower != 0) return received(j, lower);
    return block(shape_, Buffer::input, wrapped(rank() + j, shape_.size));
  }
  [[nodiscard]] Slice run_destination(int run, std::uint64_t i) const override {
    if (packs(run)) return area(packed_[static_cast<std::size_t>(run)], i);
    return block(shape_, Buffer::output, wrapped(rank() - static_cast<int>(i) - 1, shape_.size));
  }

  Shape shape_;
  std::vector<std::uint64_t> packed_;  ///< per round: where its areas begin
  std::vector<std::uint64_t> received_;
};

}  // namespace

std::unique_ptr<Schedule> bruck_all_to_all(const Shape& shape, int rank) {
  return std::make_unique<BruckAllToAll>(shape, rank);
}

}  // namespace paceline::collectives
