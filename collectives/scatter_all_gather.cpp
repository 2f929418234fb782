// Broadcast of large data: the chunks of the root's buffer are scattered down a binomial tree, then
// passed on along a chain, so that no rank sends much more than the data once.
//
// Scatter. Chunks and places (counted from the root) go together: place x gets the chunks of its
// subtree, x .. x+m-1, in one put from its parent, and puts to each child (the one with the largest
// subtree first) what is for that one's.
//
// All-gather. The places are a ring, cut in front of the root, which needs nothing. Place x passes
// on to place x+1 the chunks x, x-1, ..., one in each turn (counting down from p-1 again after 0),
// as far as that one does not have them from the tree: all but the last of a full turn around the
// ring. What x does not have from the tree itself has come from x-1 in the turn before.
//
// The acknowledgement. When a rank has everything, and all its children have signalled, it signals
// its parent. So when the root ends, everybody has received everything and copied its shadow, and
// what the next instance puts into a shadow comes, by whatever way, from the root.
//
// No flush: every element of an output is written once in an instance, and the root's not at all.
#include <algorithm>

#include "collectives/chunks.h"
#include "collectives/listed.h"
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

class ScatterAllGather final : public Listed {
 public:
  ScatterAllGather(const Shape& shape, int rank)
      : Listed(rank),
        size_(shape.size),
        chunks_(shape),
        tree_{.size = shape.size, .root = shape.root},
        place_(tree_.place(rank)),
        comes_(turns_to(place_)),
        goes_(place_ + 1 < shape.size ? turns_to(place_ + 1) : 0) {
    const int children = tree_.children(rank);
    if (place_ > 0) wait(tree_.parent(rank), of_subtree(rank));
    for (int j = 0; j < children; ++j) {
      const int child = tree_.child(rank, j);
      put(child, of_subtree(child), of_subtree(child));
    }
    run(goes_ + comes_);
    for (int j = 0; j < children; ++j) wait(tree_.child(rank, j));
    if (place_ > 0) signal(tree_.parent(rank));
  }

 private:
  /// How many chunks a place gets from the one before it.
  [[nodiscard]] std::uint64_t turns_to(int place) const {
    return static_cast<std::uint64_t>(size_ - tree_.subtree(tree_.rank_at(place)));
  }
  [[nodiscard]] int before() const { return tree_.rank_at(place_ - 1); }
  [[nodiscard]] int after() const { return tree_.rank_at(place_ + 1); }

  [[nodiscard]] Slice of_subtree(int rank) const {
    const int first = tree_.place(rank);
    const Slice last = chunks_.slice(Buffer::output, first + tree_.subtree(rank) - 1);
    const std::uint64_t begin = chunks_.at(first).offset;
    return {Buffer::output, begin, last.offset + last.length - begin};
  }

  // The run: put, wait in each turn; when one of them has nothing more to do, the other alone.
  [[nodiscard]] Step run_step(int, std::uint64_t i) const override {
    const std::uint64_t paired = 2 * std::min(goes_, comes_);
    const bool puts = i < paired ? i % 2 == 0 : goes_ > comes_;
    const std::uint64_t turn = i < paired ? i / 2 : i - paired / 2;
    // A put is of what came in the turn before.
    const int number = place_ - static_cast<int>(turn) - (puts ? 0 : 1);
    const Slice chunk = chunks_.slice(Buffer::output, wrapped(number, size_));
    if (!puts) return {.kind = StepKind::wait, .peer = before(), .target = chunk};
    return {.kind = StepKind::put, .peer = after(), .source = chunk, .target = chunk};
  }

  int size_;
  Chunks chunks_;
  BinomialTree tree_;
  int place_;
  std::uint64_t comes_;
  std::uint64_t goes_;
};

}  // namespace

std::unique_ptr<Schedule> scatter_all_gather_broadcast(const Shape& shape, int rank) {
  return std::make_unique<ScatterAllGather>(shape, rank);
}

}  // namespace paceline::collectives
