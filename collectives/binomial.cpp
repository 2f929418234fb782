// Binomial broadcast: the root's output into everybody's output, down a binomial tree.
//
// A rank waits for its parent, puts to its children (the one with the largest subtree first),
// acknowledges to its parent, and waits until its children have acknowledged.
//
// What the acknowledgement is for: a child whose output cannot be put into copies it out of its
// shadow, and only when it has done so may the parent put the next instance there. It also keeps a
// root that never has to wait for anybody from running ahead. The child sends it after it has put
// to its own children, so that it never delays the data.
//
// No flush: nothing is written over within an instance, and the next one has other elements of the
// output.
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

class BinomialBroadcast final : public Schedule {
 public:
  BinomialBroadcast(const Shape& shape, int rank)
      : tree_{.size = shape.size, .root = shape.root},
        rank_(rank),
        received_(rank == shape.root ? 0 : 1),
        children_(static_cast<std::uint64_t>(tree_.children(rank))),
        buffer_{Buffer::output, 0, shape.count} {}

  [[nodiscard]] std::uint64_t steps() const override { return 2 * (received_ + children_); }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    if (i < received_) {
      return {.kind = StepKind::wait, .peer = tree_.parent(rank_), .target = buffer_};
    }
    const std::uint64_t put = i - received_;
    if (put < children_) {
      return {.kind = StepKind::put, .peer = child(put), .source = buffer_, .target = buffer_};
    }
    const std::uint64_t acknowledge = put - children_;
    if (acknowledge < received_) {
      return {.kind = StepKind::signal, .peer = tree_.parent(rank_)};
    }
    return {.kind = StepKind::wait, .peer = child(acknowledge - received_)};
  }

  // Nothing is reduced.
  [[nodiscard]] Operand source(std::uint64_t, int) const override { return {}; }
  [[nodiscard]] Operand destination(std::uint64_t, int) const override { return {}; }
  [[nodiscard]] std::uint64_t scratch() const override { return 0; }

 private:
  [[nodiscard]] int child(std::uint64_t j) const { return tree_.child(rank_, static_cast<int>(j)); }

  BinomialTree tree_;
  int rank_;
  std::uint64_t received_;  ///< how many times it receives: 0 at the root, else 1
  std::uint64_t children_;
  Slice buffer_;
};

}  // namespace

std::unique_ptr<Schedule> binomial_broadcast(const Shape& shape, int rank) {
  return std::make_unique<BinomialBroadcast>(shape, rank);
}

}  // namespace paceline::collectives
