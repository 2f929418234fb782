// Binomial reduce: everybody's input into the root's output, up a binomial tree.
//
// A rank waits until each child has put the sum of its subtree into a slot of scratch, adds them to
// its own input, and puts the sum to its parent. The order of the sum is that of the places, which
// are counted from the root: a rank's own, then its children's from the smallest subtree (the next
// place) to the largest. A leaf puts its input as it is.
//
// The credit. Data flows to the root only, so a leaf would never learn how far its parent is. Each
// rank therefore signals its children as its first steps, and each child waits for that as its
// last: then its parent has begun the instance, and ended the one before, whose scratch the next
// one uses. Being sent first, it delays nobody. The sum has a slot of its own, which only this rank
// writes: the parent has received what was put from there two instances ago.
//
// No flush: nothing is written over within an instance, but the root's input, which only it reads.
#include <bit>

#include "collectives/chunks.h"
#include "collectives/listed.h"
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

class BinomialReduce final : public Listed {
 public:
  BinomialReduce(const Shape& shape, int rank)
      : Listed(rank), shape_(shape), tree_{.size = shape.size, .root = shape.root} {
    const int children = tree_.children(rank);
    for (int j = 0; j < children; ++j) signal(tree_.child(rank, j));
    std::vector<Slice> sources = {block(shape, Buffer::input)};
    for (int j = children - 1; j >= 0; --j) {
      const int child = tree_.child(rank, j);
      sources.push_back(slot(slot_of(child)));
      wait(child, sources.back());
    }
    const bool root = rank == shape.root;
    const bool leaf = children == 0;
    const Slice sum = root ? block(shape, Buffer::output) : leaf ? sources[0] : slot(children);
    if (root || !leaf) reduce(sources, sum);
    const int slots = leaf ? 0 : root ? children : children + 1;
    take_scratch(static_cast<std::uint64_t>(slots) * slot_stride(shape, shape.count));
    if (root) return;
    put(tree_.parent(rank), sum, slot(slot_of(rank)));
    wait(tree_.parent(rank));
  }

 private:
  /// In the parent's scratch: one per child, the smallest subtree's first.
  [[nodiscard]] int slot_of(int child) const {
    return std::countr_zero(static_cast<unsigned>(tree_.place(child)));
  }
  [[nodiscard]] Slice slot(int number) const {
    return {Buffer::scratch, static_cast<std::uint64_t>(number) * slot_stride(shape_, shape_.count),
            shape_.count};
  }

  Shape shape_;
  BinomialTree tree_;
};

}  // namespace

std::unique_ptr<Schedule> binomial_reduce(const Shape& shape, int rank) {
  return std::make_unique<BinomialReduce>(shape, rank);
}

}  // namespace paceline::collectives
