// Ring all_reduce and reduce_scatter: every rank sends to its next and receives from its prev.
// In an all_reduce that is 2(p-1) times 1/p of the data, which is the least any algorithm can do; a
// reduce_scatter is its first half, with whole blocks for chunks.
//
// Reduce-scatter. Chunk c starts at rank c+1, whose input chunk goes to the next rank. In turn s
// (0 .. p-2) rank r receives chunk r-2-s into slot s of its scratch, adds its own input to it, and
// passes it on; in the last turn that is chunk r, which is then finished and goes to r's output.
// Every turn has a slot of its own, so nothing is written over within an instance.
//
// All-gather, for an all_reduce. The finished chunks go once more around, straight into the next
// rank's output: in turn s rank r receives chunk r-1-s, and passes it on in all turns but the last.
//
// The order of a chunk's sum is c+1, c+2, ..., c; one rank finishes it, so all ranks get its bits.
//
// Why no flush and no credit is needed. Each thing that is written over must have been read:
//  - In place, the input chunk r-1 that r has put is written over by the all-gather. What comes in
//    is the finished chunk r-1, which came through the next rank's wait for that very put.
//    The other input chunks are read by r's own reduce before they are passed on.
//  - Slots in the next instance, on the same scratch even. The last chunk that rank r receives is
//    r+1, made by the next rank after it has read all of its slots, so r may write into them.
//    The slots of r are also the sources of its puts; they are written over by its prev, which has
//    received chunk r+1 as its last but one: r+1 had then received all of r's puts (with two ranks
//    no slot is a source).
//  - The shadow of the output. The all-gather of the next instance puts into the next rank only
//    chunks to which that rank has contributed in that instance, after copying this one's.
//
// A reduce_scatter alone is safe as well, but needs two scratches. All that rank r hears in an
// instance began at r+1, so r knows that r+1 has ended the instance before, and may write into its
// slots of that one. And prev, which writes over the slots that r put from, knows two instances
// later that r+1 has ended the one in between. In place, only block r of r's input is written over,
// by the reduce that reads it.
#include "collectives/chunks.h"
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

class Ring final : public Schedule {
 public:
  Ring(const Shape& shape, int rank, bool gathers)
      : parts_(shape, !gathers),
        gathers_(gathers),
        size_(shape.size),
        rank_(rank),
        next_(ring_next(rank, shape.size)),
        prev_(ring_prev(rank, shape.size)),
        turns_(static_cast<std::uint64_t>(shape.size - 1)) {}

  // The first put; wait, reduce, put in each turn of reduce-scatter (the last of these puts is the
  // first of all-gather); wait, put in each turn of all-gather, without the last put.
  [[nodiscard]] std::uint64_t steps() const override {
    if (alone()) return 1;
    return (gathers_ ? 5 : 3) * turns_;
  }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    if (alone()) return reduce(1);
    if (i == 0) return put(input(rank_ - 1), slot(0, rank_ - 1));
    if (i < gather_begin()) {
      const std::uint64_t turn = (i - 1) / 3;
      switch ((i - 1) % 3) {
        case 0:
          return wait(received(turn));
        case 1:
          return reduce(2);
      }
      if (turn + 1 == turns_) return put(output(rank_), output(rank_));
      return put(received(turn), slot(turn + 1, scattered(turn)));
    }
    const std::uint64_t turn = (i - gather_begin()) / 2;
    const Slice gathered = output(rank_ - 1 - static_cast<int>(turn));
    return (i - gather_begin()) % 2 == 0 ? wait(gathered) : put(gathered, gathered);
  }

  [[nodiscard]] Operand source(std::uint64_t i, int j) const override {
    if (alone()) return {rank_, input(rank_), {}};
    const std::uint64_t turn = (i - 1) / 3;
    return {rank_, j == 0 ? received(turn) : input(scattered(turn)), {}};
  }

  [[nodiscard]] Operand destination(std::uint64_t i, int) const override {
    const std::uint64_t turn = (i - 1) / 3;
    if (alone() || turn + 1 == turns_) return {rank_, output(rank_), {}};
    return {rank_, received(turn), {}};
  }

  [[nodiscard]] std::uint64_t scratch() const override { return turns_ * parts_.stride(); }

 private:
  [[nodiscard]] bool alone() const { return turns_ == 0; }
  [[nodiscard]] std::uint64_t gather_begin() const { return 1 + 3 * turns_; }

  [[nodiscard]] Slice input(int number) const { return parts_.input(wrapped(number, size_)); }
  [[nodiscard]] Slice output(int number) const { return parts_.output(wrapped(number, size_)); }
  /// The slot of a turn, as long as the chunk that it holds.
  [[nodiscard]] Slice slot(std::uint64_t turn, int number) const {
    return {Buffer::scratch, turn * parts_.stride(), input(number).length};
  }
  /// Which chunk arrives in a turn of reduce-scatter, and where.
  [[nodiscard]] int scattered(std::uint64_t turn) const {
    return rank_ - 2 - static_cast<int>(turn);
  }
  [[nodiscard]] Slice received(std::uint64_t turn) const { return slot(turn, scattered(turn)); }

  [[nodiscard]] Step put(const Slice& source, const Slice& target) const {
    return {.kind = StepKind::put, .peer = next_, .source = source, .target = target};
  }
  [[nodiscard]] Step wait(const Slice& target) const {
    return {.kind = StepKind::wait, .peer = prev_, .target = target};
  }
  [[nodiscard]] static Step reduce(int sources) {
    return {.kind = StepKind::reduce, .sources = sources, .destinations = 1};
  }

  Parts parts_;
  bool gathers_;  ///< all_reduce
  int size_;
  int rank_;
  int next_;
  int prev_;
  std::uint64_t turns_;
};

}  // namespace

std::unique_ptr<Schedule> ring_all_reduce(const Shape& shape, int rank) {
  return std::make_unique<Ring>(shape, rank, true);
}

std::unique_ptr<Schedule> ring_reduce_scatter(const Shape& shape, int rank) {
  return std::make_unique<Ring>(shape, rank, false);
}

}  // namespace paceline::collectives
