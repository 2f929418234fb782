// Two binary trees (topology.h), each for half of the block: all_reduce, broadcast and reduce in
// about 2 log2(p), or log2(p), steps, with as much to do for every rank. A rank is a leaf in at
// least one tree, so it has children in one at most, and is busy in both.
//
// Up, for all_reduce and reduce. A leaf puts its half of the input to its parent. A rank with
// children waits for theirs, adds them up in the order of the nodes (the left child's, its own, the
// right child's), and puts the sum to its parent. The root's goes to its output. The root is the
// same in both trees.
//
// Down, for all_reduce and broadcast. The root puts each half to the top of its tree; everybody
// waits for its parent and puts to its children. Each element is summed up by the root: all ranks
// get its bits.
//
// What a rank does as a leaf goes first on the way up and last on the way down, so that nobody
// waits for it because it waits for others.
//
// Why no flush is needed, and what for credit. Each thing that is written over must have been read:
//  - In an all_reduce, what comes down says that the parent has received what went up and has begun
//    the instance, so that its slots of the one before are free. The slot of the sum is written
//    only by its rank. In place, the half of the input that a leaf has put is written over with the
//    result that came through its parent's wait for it; a parent has read its input itself. A
//    child's shadow is written in the next instance after the child has put in that one.
//  - In a reduce nothing comes down: when a rank has put everything, it signals its children, and
//    ends when its parents have signalled. Not as its first steps: a rank may be the child of its
//    own parent in the other tree, whose put it waits for before.
//  - In a broadcast nothing goes up: when a rank has received and put everything, it signals its
//    parents, and ends when its children have signalled. Their shadows have been copied then.
#include <utility>

#include "collectives/chunks.h"
#include "collectives/listed.h"
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

enum class Ways : std::uint8_t { up, down, both };

class TwoTreeSchedule final : public Listed {
 public:
  TwoTreeSchedule(const Shape& shape, int rank, Ways ways)
      : Listed(rank),
        halves_(Shape{.size = 2, .count = shape.count, .alignment = shape.alignment}),
        trees_{.size = shape.size, .root = shape.root},
        root_(rank == shape.root) {
    if (shape.size == 1) {
      if (ways != Ways::down) copy(block(shape, Buffer::input), block(shape, Buffer::output));
      return;
    }
    // The tree in which this rank has children. The root has in both, and a leaf in both of two
    // ranks must agree with it.
    const int busy = root_ || is_leaf(0) ? 1 : 0;
    if (ways != Ways::down) {
      const bool leaf = !root_ && is_leaf(0) && is_leaf(1);
      take_scratch((leaf ? 0U : root_ ? 2U : 3U) * halves_.length());
      go_up(1 - busy);
      go_up(busy);
    }
    if (ways != Ways::up) {
      go_down(busy);
      go_down(1 - busy);
    }
    if (ways == Ways::up) {
      signal_children();
      wait_for_parents();
    }
    if (ways == Ways::down) {
      signal_parents();
      wait_for_children();
    }
  }

 private:
  [[nodiscard]] int node(int which) const { return trees_.node(which, rank()); }
  [[nodiscard]] bool is_leaf(int which) const { return node(which) % 2 != 0; }
  [[nodiscard]] int parent(int which) const {
    return trees_.rank_at(which, trees_.tree().parent(node(which)));
  }
  /// The left one, if there is one, then the right one.
  [[nodiscard]] std::vector<int> children(int which) const {
    std::vector<int> all;
    const BinaryTree tree = trees_.tree();
    const int left = tree.left(node(which));
    const int right = tree.right(node(which));
    if (left != 0) all.push_back(trees_.rank_at(which, left));
    if (right != 0) all.push_back(trees_.rank_at(which, right));
    return all;
  }

  void go_up(int which) {
    std::vector<Slice> sources;
    for (const int child : children(which)) {
      sources.push_back(slot(which, child));
      wait(child, sources.back());
    }
    const Slice own = half(Buffer::input, which);
    sources.insert(sources.begin() + (sources.empty() ? 0 : 1), own);
    if (root_) {
      // The root's node is to the left of its child's.
      std::swap(sources[0], sources[1]);
      reduce(sources, half(Buffer::output, which));
      return;
    }
    const Slice sum = sources.size() == 1 ? own : slot_at(kSum, which);
    if (sources.size() > 1) reduce(sources, sum);
    put(parent(which), sum, slot(which, rank()));
  }

  void go_down(int which) {
    const Slice result = half(Buffer::output, which);
    if (!root_) wait(parent(which), result);
    for (const int child : children(which)) put(child, result, result);
  }

  void signal_children() {
    for (int which = 0; which < 2; ++which) {
      for (const int child : children(which)) signal(child);
    }
  }
  void wait_for_children() {
    for (int which = 0; which < 2; ++which) {
      for (const int child : children(which)) wait(child);
    }
  }
  void signal_parents() {
    if (root_) return;
    for (int which = 0; which < 2; ++which) signal(parent(which));
  }
  void wait_for_parents() {
    if (root_) return;
    for (int which = 0; which < 2; ++which) wait(parent(which));
  }

  [[nodiscard]] Slice half(Buffer buffer, int which) const { return halves_.slice(buffer, which); }

  // In scratch: the left child's slot, the right child's and the sum's; at the root, a slot per
  // tree.
  static constexpr int kSum = 2;
  [[nodiscard]] Slice slot_at(int number, int which) const {
    return {Buffer::scratch, static_cast<std::uint64_t>(number) * halves_.length(),
            half(Buffer::input, which).length};
  }
  /// Where the parent of `child` gets what it puts up.
  [[nodiscard]] Slice slot(int which, int child) const {
    const int node = trees_.node(which, child);
    const int parent = trees_.tree().parent(node);
    return slot_at(parent == 0 ? which : parent < node ? 1 : 0, which);
  }

  Chunks halves_;
  TwoTrees trees_;
  bool root_;
};

}  // namespace

std::unique_ptr<Schedule> tree_all_reduce(const Shape& shape, int rank) {
  return std::make_unique<TwoTreeSchedule>(shape, rank, Ways::both);
}

std::unique_ptr<Schedule> tree_broadcast(const Shape& shape, int rank) {
  return std::make_unique<TwoTreeSchedule>(shape, rank, Ways::down);
}

std::unique_ptr<Schedule> tree_reduce(const Shape& shape, int rank) {
  return std::make_unique<TwoTreeSchedule>(shape, rank, Ways::up);
}

}  // namespace paceline::collectives
