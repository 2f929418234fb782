// Binomial gather: everybody's block to the root, up a binomial tree, in one put per rank.
//
// A rank collects the blocks of its subtree in its scratch, side by side in the order of their
// places, which are counted from the root, and puts them to its parent all at once. A leaf puts its
// block from its input. The root copies the blocks to where they belong in its output.
//
// The credit. When a rank has heard from its parent and its own puts are over, it signals its
// children; the root does so as its first steps. Each waits for that as its last step. Then its
// parent has done with this instance's scratch or, if it is the root, with that of the one before,
// which is the one that the next instance uses.
//
// No flush: nothing is written over within an instance. Nobody touches an output but the root.
#include "collectives/chunks.h"
#include "collectives/listed.h"
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

class BinomialGather final : public Listed {
 public:
  BinomialGather(const Shape& shape, int rank)
      : Listed(rank), shape_(shape), tree_{.size = shape.size, .root = shape.root} {
    if (rank == shape.root) {
      be_root();
    } else {
      be_below();
    }
  }

 private:
  void be_root() {
    give_credit();
    copy(block(shape_, Buffer::input), block(shape_, Buffer::output, rank()));
    for (int j = tree_.children(rank()) - 1; j >= 0; --j) {
      const int child = tree_.child(rank(), j);
      wait(child, collected(rank(), child));
      run(static_cast<std::uint64_t>(tree_.subtree(child)));
    }
    take_scratch(static_cast<std::uint64_t>(shape_.size - 1) * shape_.count);
  }

  void be_below() {
    const int parent = tree_.parent(rank());
    Slice mine = block(shape_, Buffer::input);
    if (tree_.children(rank()) > 0) {
      mine = {Buffer::scratch, 0, collected(parent, rank()).length};
      copy(block(shape_, Buffer::input), block(shape_, Buffer::scratch));
      for (int j = tree_.children(rank()) - 1; j >= 0; --j) {
        const int child = tree_.child(rank(), j);
        wait(child, collected(rank(), child));
      }
      take_scratch(mine.length);
    }
    put(parent, mine, collected(parent, rank()));
    wait(parent);
    give_credit();
  }

  void give_credit() {
    for (int j = 0; j < tree_.children(rank()); ++j) signal(tree_.child(rank(), j));
  }

  /// Where a rank collects the blocks of a child's subtree. Its own is before them, but for the
  /// root, which has it in its output.
  [[nodiscard]] Slice collected(int rank, int child) const {
    const int own = rank == shape_.root ? 0 : 1;
    const int before = tree_.place(child) - tree_.place(rank) - 1 + own;
    return {Buffer::scratch, static_cast<std::uint64_t>(before) * shape_.count,
            static_cast<std::uint64_t>(tree_.subtree(child)) * shape_.count};
  }

  // The root's runs: run j copies the blocks of the child at place 2^j.
  [[nodiscard]] int place(int run, std::uint64_t i) const {
    return (1 << run) + static_cast<int>(i);
  }
  [[nodiscard]] Slice run_source(int run, std::uint64_t i) const override {
    return block(shape_, Buffer::scratch, place(run, i) - 1);
  }
  [[nodiscard]] Slice run_destination(int run, std::uint64_t i) const override {
    return block(shape_, Buffer::output, tree_.rank_at(place(run, i)));
  }

  Shape shape_;
  BinomialTree tree_;
};

}  // namespace

std::unique_ptr<Schedule> binomial_gather(const Shape& shape, int rank) {
  return std::make_unique<BinomialGather>(shape, rank);
}

}  // namespace paceline::collectives
