// Binomial scatter: the root's blocks to their ranks, down a binomial tree, in one put per rank.
//
// The root copies all blocks but its own into its scratch, in the order of the places, which are
// counted from the root: each subtree's are side by side. A rank gets those of its subtree into its
// scratch, its own first, puts to each child (the one with the largest subtree first) what is for
// that one's, and copies its own to its output.
//
// The acknowledgement. A rank signals its parent when it has received and has put to its children,
// so that it never delays the data; a parent ends when all its children have. Then their scratch of
// the instance before is free, and what they were put from may be written over two instances later.
//
// No flush: nothing is written over within an instance. Nobody touches the input or output of
// another.
#include "collectives/chunks.h"
#include "collectives/listed.h"
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

class BinomialScatter final : public Listed {
 public:
  BinomialScatter(const Shape& shape, int rank)
      : Listed(rank), shape_(shape), tree_{.size = shape.size, .root = shape.root} {
    const bool root = rank == shape.root;
    const int blocks = tree_.subtree(rank) - (root ? 1 : 0);
    const std::uint64_t length = static_cast<std::uint64_t>(blocks) * shape.count;
    take_scratch(length);
    if (root) {
      run(static_cast<std::uint64_t>(blocks));
    } else {
      wait(tree_.parent(rank), {Buffer::scratch, 0, length});
    }
    const int children = tree_.children(rank);
    for (int j = 0; j < children; ++j) put_to(tree_.child(rank, j));
    if (!root) signal(tree_.parent(rank));
    copy(root ? block(shape, Buffer::input, rank) : block(shape, Buffer::scratch),
         block(shape, Buffer::output));
    for (int j = 0; j < children; ++j) wait(tree_.child(rank, j));
  }

 private:
  void put_to(int child) {
    const int own = rank() == shape_.root ? 0 : 1;
    const int before = tree_.place(child) - tree_.place(rank()) - 1 + own;
    const std::uint64_t length = static_cast<std::uint64_t>(tree_.subtree(child)) * shape_.count;
    put(child, {Buffer::scratch, static_cast<std::uint64_t>(before) * shape_.count, length},
        {Buffer::scratch, 0, length});
  }

  // The root's run copies the block of place i + 1.
  [[nodiscard]] Slice run_source(int, std::uint64_t i) const override {
    return block(shape_, Buffer::input, tree_.rank_at(static_cast<int>(i) + 1));
  }
  [[nodiscard]] Slice run_destination(int, std::uint64_t i) const override {
    return block(shape_, Buffer::scratch, static_cast<int>(i));
  }

  Shape shape_;
  BinomialTree tree_;
};

}  // namespace

std::unique_ptr<Schedule> binomial_scatter(const Shape& shape, int rank) {
  return std::make_unique<BinomialScatter>(shape, rank);
}

}  // namespace paceline::collectives
