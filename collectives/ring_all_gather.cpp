// Ring all_gather: every rank's block goes once around, p-1 times one block for each rank, which is
// the least any algorithm can do.
//
// Rank r copies its block into its own output (in place it is there) and puts it into its next's.
// In turn s (0 .. p-2) it receives block r-1-s and passes it on, in all turns but the last.
//
// Why no acknowledgement is needed. A rank puts the next instance but one into the shadow from
// which its next copies this one's blocks. It has received its next's own block of the next
// instance by then, around the ring, which that one puts after it has ended this instance.
//
// No flush: nothing is written over within an instance. Nobody touches the input of another.
#include "collectives/chunks.h"
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

class RingAllGather final : public Schedule {
 public:
  RingAllGather(const Shape& shape, int rank)
      : shape_(shape), rank_(rank), turns_(static_cast<std::uint64_t>(shape.size - 1)) {}

  // copy, put; wait, put in each turn, without the last put.
  [[nodiscard]] std::uint64_t steps() const override { return turns_ == 0 ? 1 : 2 * turns_ + 1; }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    if (i == 0) return {.kind = StepKind::reduce, .sources = 1, .destinations = 1};
    if (i == 1) return put(gathered(rank_), gathered(rank_));
    const std::uint64_t in_turns = i - 2;
    const Slice slice = gathered(rank_ - 1 - static_cast<int>(in_turns / 2));
    if (in_turns % 2 == 1) return put(slice, slice);
    return {.kind = StepKind::wait, .peer = ring_prev(rank_, shape_.size), .target = slice};
  }

  [[nodiscard]] Operand source(std::uint64_t, int) const override {
    return {rank_, block(shape_, Buffer::input), {}};
  }
  [[nodiscard]] Operand destination(std::uint64_t, int) const override {
    return {rank_, gathered(rank_), {}};
  }
  [[nodiscard]] std::uint64_t scratch() const override { return 0; }

 private:
  [[nodiscard]] Slice gathered(int number) const {
    return block(shape_, Buffer::output, wrapped(number, shape_.size));
  }
  [[nodiscard]] Step put(const Slice& source, const Slice& target) const {
    return {.kind = StepKind::put,
            .peer = ring_next(rank_, shape_.size),
            .source = source,
            .target = target};
  }

  Shape shape_;
  int rank_;
  std::uint64_t turns_;
};

}  // namespace

std::unique_ptr<Schedule> ring_all_gather(const Shape& shape, int rank) {
  return std::make_unique<RingAllGather>(shape, rank);
}

}  // namespace paceline::collectives
