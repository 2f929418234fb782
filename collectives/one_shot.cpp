// One-shot all_reduce: everybody puts its whole input to everybody else, and each adds up all of
// them. One step, for the price of p-1 times the data: for small messages between few ranks, and
// for ranks that share cores, where every step that has to wait costs a switch from rank to rank.
//
// All inputs arrive in a slot of scratch per peer, and are reduced in the order of the ranks: all
// compute the same expression, so all ranks get the same bits. Ranks begin with the peer behind
// them (r+1, r+2, ...), so that not all write to the same one at a time.
//
// Where inputs can be loaded, nothing is put, and each rank loads what it adds up. Else a slot is
// put into and, the next time, holds what its owner keeps for that peer: who writes there has
// loaded it before.
//
// Why this is safe. Each thing that is written over must have been read:
//  - Slots. Each is written once in an instance, by a put or by its owner. Whoever has finished an
//    instance has heard in it from everybody, who had finished the instance before by then: the
//    scratch of the last but one is free. (That of the last one is not, hence the two scratches of
//    a lane.)
//  - In place, the reduce writes over the input, which is the source of the puts: before it comes
//    the flush, after all waits, when the puts have mostly left by themselves. Nobody can load it
//    then (input_apart).
//  - An input that has been loaded is the caller's again once everybody has said so, at the end.
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

/// A put to each peer, a wait for each, flush, reduce, a signal to each, a wait for each.
class OneShot final : public Schedule {
 public:
  OneShot(const Shape& shape, int rank)
      : count_(shape.count),
        stride_(slot_stride(shape, shape.count)),
        size_(shape.size),
        rank_(rank),
        peers_(static_cast<std::uint64_t>(shape.size - 1)) {}

  [[nodiscard]] std::uint64_t steps() const override { return 4 * peers_ + 2; }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    if (i < peers_) {
      const int peer = wrapped(rank_ + 1 + static_cast<int>(i), size_);
      return {.kind = StepKind::put,
              .peer = peer,
              .source = {Buffer::input, 0, count_},
              .target = slot(peer, rank_),
              .elidable = true,
              .kept = slot(rank_, peer).offset};
    }
    if (i < 2 * peers_) {
      const int peer = wrapped(rank_ - 1 - static_cast<int>(i - peers_), size_);
      return {.kind = StepKind::wait, .peer = peer, .target = slot(rank_, peer)};
    }
    if (i == 2 * peers_) return {.kind = StepKind::flush};
    if (i == 2 * peers_ + 1) {
      return {.kind = StepKind::reduce, .sources = size_, .destinations = 1};
    }
    if (i < 3 * peers_ + 2) {
      const int peer = wrapped(rank_ - 1 - static_cast<int>(i - 2 * peers_ - 2), size_);
      return {.kind = StepKind::signal, .peer = peer, .only = Only::if_input_loaded};
    }
    const int peer = wrapped(rank_ + 1 + static_cast<int>(i - 3 * peers_ - 2), size_);
    return {.kind = StepKind::wait, .peer = peer, .only = Only::if_input_loaded};
  }

  [[nodiscard]] Operand source(std::uint64_t, int j) const override {
    const Slice input{Buffer::input, 0, count_};
    if (j == rank_) return {j, input, {}};
    return {j, input, slot(rank_, j), slot(j, rank_).offset};
  }
  [[nodiscard]] Operand destination(std::uint64_t, int) const override {
    return {rank_, {Buffer::output, 0, count_}, {}};
  }
  [[nodiscard]] std::uint64_t scratch() const override { return peers_ * stride_; }
  [[nodiscard]] Keeping keeping() const override { return Keeping::in_turns; }
  [[nodiscard]] bool input_apart() const override { return true; }

 private:
  /// Where `owner` receives what `peer` puts to it.
  [[nodiscard]] Slice slot(int owner, int peer) const {
    const int number = peer < owner ? peer : peer - 1;
    return {Buffer::scratch, static_cast<std::uint64_t>(number) * stride_, count_};
  }

  std::uint64_t count_;
  std::uint64_t stride_;
  int size_;
  int rank_;
  std::uint64_t peers_;
};

}  // namespace

std::unique_ptr<Schedule> one_shot_all_reduce(const Shape& shape, int rank) {
  return std::make_unique<OneShot>(shape, rank);
}

}  // namespace paceline::collectives
