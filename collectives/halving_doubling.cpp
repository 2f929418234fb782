// Halving and doubling all_reduce: a reduce-scatter in log2(p) rounds, each on half as much data as
// the one before, then an all-gather in as many, each on twice as much. Few steps, and for a power
// of two 2(p-1)/p of the data, the least possible.
//
// Folding. With p = 2^m + g ranks, g guests first put their input to their host (topology.h), and
// get the result from it in the end.
//
// Halving. A host has a segment, at first everything, of which it holds the sum over a block of 2^k
// positions before round k. Its partner, whose position differs in bit k, has the same segment. The
// one with the lower position keeps the lower half and puts the upper one into the other's slot k;
// the other keeps the upper half. Each adds what came in to what it kept, the lower block first.
// The first partner, with most of the data, is the neighbour. The sum replaces what came in, in
// slot k; that of the last round is finished and goes to the output.
//
// Doubling. The same partners in the opposite order put their finished segments into each other's
// output. So each element is summed up by one rank, and all ranks get its bits.
//
// Why no flush and no credit is needed. Each thing that is written over must have been read:
//  - Slots. Everybody has heard from everybody in the end, so when an instance begins, all have
//  ended
//    the one before the last: what was put there has been received, and its slots are free.
//  - In place, a host's input is the source of the put of round 0 only, if it has no guest. What is
//    written over it is the result from the partner of that round, which has received that put. The
//    half that was kept is read by the host's own reduce. A guest's input is written over with a
//    result that came through the host's wait for it.
//  - Shadows. A partner's is written in the next instance after that instance's halving, in which
//  it
//    has put; a guest's after its input came.
#include "collectives/chunks.h"
#include "collectives/listed.h"
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

struct Range {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

class HalvingDoubling final : public Listed {
 public:
  HalvingDoubling(const Shape& shape, int rank)
      : Listed(rank), shape_(shape), folding_(shape.size) {
    std::uint64_t longest = shape.count;
    for (int round = 0; round < folding_.rounds; ++round) {
      longest = lower_half(longest);
      slots_.push_back(guest_slot_);
      guest_slot_ += slot_stride(shape, longest);
    }
    if (folding_.is_guest(rank)) {
      be_guest();
    } else {
      be_host();
    }
  }

 private:
  void be_guest() {
    put(rank() - 1, block(shape_, Buffer::input), from_guest());
    wait(rank() - 1, block(shape_, Buffer::output));
  }

  void be_host() {
    const bool has_guest = folding_.has_guest(rank());
    take_scratch(guest_slot_ + (has_guest ? shape_.count : 0));
    const Slice output = block(shape_, Buffer::output);
    held_ = block(shape_, Buffer::input);
    if (has_guest) {
      wait(rank() + 1, from_guest());
      reduce({held_, from_guest()}, from_guest());
      held_ = from_guest();
    }
    if (folding_.rounds == 0) copy(held_, output);
    for (int round = 0; round < folding_.rounds; ++round) halve(round);
    for (int round = folding_.rounds - 1; round >= 0; --round) double_up(round);
    if (has_guest) put(rank() + 1, output, output);
  }

  void halve(int round) {
    const int partner = folding_.partner(rank(), round);
    const std::uint64_t begin = segment(rank(), round).offset;
    const auto part = [&](const Range& range) {
      return Slice{held_.buffer, held_.offset + (range.offset - begin), range.length};
    };
    const auto slot = [&](const Range& range) {
      return Slice{Buffer::scratch, slots_[static_cast<std::size_t>(round)], range.length};
    };
    const Range mine = segment(rank(), round + 1);
    const Range other = segment(partner, round + 1);
    put(partner, part(other), slot(other));
    wait(partner, slot(mine));
    const bool last = round + 1 == folding_.rounds;
    const Slice sum = last ? finished(mine) : slot(mine);
    if (is_upper(rank(), round)) {
      reduce({slot(mine), part(mine)}, sum);
    } else {
      reduce({part(mine), slot(mine)}, sum);
    }
    held_ = sum;
  }

  void double_up(int round) {
    const int partner = folding_.partner(rank(), round);
    const Slice mine = finished(segment(rank(), round + 1));
    put(partner, mine, mine);
    wait(partner, finished(segment(partner, round + 1)));
  }

  [[nodiscard]] bool is_upper(int rank, int round) const {
    return (folding_.position(rank) >> round & 1) != 0;
  }
  /// What a host has before `round`.
  [[nodiscard]] Range segment(int rank, int round) const {
    Range range{0, shape_.count};
    for (int k = 0; k < round; ++k) {
      const std::uint64_t lower = lower_half(range.length);
      range = is_upper(rank, k) ? Range{range.offset + lower, range.length - lower}
                                : Range{range.offset, lower};
    }
    return range;
  }
  /// The first of two chunks: not shorter than the second.
  [[nodiscard]] std::uint64_t lower_half(std::uint64_t length) const {
    return chunk_bounds({.size = 2, .count = length, .alignment = shape_.alignment}, 0).length;
  }
  [[nodiscard]] static Slice finished(const Range& range) {
    return {Buffer::output, range.offset, range.length};
  }
  [[nodiscard]] Slice from_guest() const { return {Buffer::scratch, guest_slot_, shape_.count}; }

  Shape shape_;
  Folding folding_;
  std::vector<std::uint64_t> slots_;  ///< per round; the same on all hosts
  std::uint64_t guest_slot_ = 0;      ///< behind them, where a host has a guest
  Slice held_ = {};                   ///< the sum that a host has of its segment
};

}  // namespace

std::unique_ptr<Schedule> halving_doubling_all_reduce(const Shape& shape, int rank) {
  return std::make_unique<HalvingDoubling>(shape, rank);
}

}  // namespace paceline::collectives
