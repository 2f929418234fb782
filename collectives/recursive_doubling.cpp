// Recursive doubling all_reduce: log2(p) rounds, in each of which two ranks exchange all they have.
//
// Folding. With p = 2^m + g ranks, g guests first put their input to their host (topology.h); the
// 2^m hosts then reduce among themselves, and each host with a guest puts the result to it.
//
// Rounds. Before round k a host holds the sum of a block of 2^k positions; its partner, whose
// position differs in bit k, holds that of the block beside it. Both put their sum into the other's
// slot k and reduce the two, the lower block first: both compute the same expression, so all ranks
// get the same bits. The result replaces what came in, in slot k, where the put of the next round
// takes it from; that of the last round goes straight to the output. Nothing is copied.
//
// Why this is safe. Each thing that is written over must have been read:
//  - Slots. Within an instance each is written by one put and then by one local reduce, which has
//    waited for that put. At the end of an instance everybody has heard from everybody in it, so
//    everybody has finished the instance before: what was put then has been received. The scratch
//    of the last but one instance is therefore free. (That of the last one is not: the partner may
//    still be about to read its slot. Hence the two scratches of a lane.)
//  - In place, the last reduce writes over the input, which is the source of the first put unless
//    there is a guest. That the partner's put has come does not say that ours has left: this needs
//    the one flush, after the last wait, when it has mostly happened by itself. A guest's input is
//    written over with a result that came through the host's wait for it.
//  - The shadow of a guest's output is written in the next instance only after the guest's input
//    of that instance came, which the guest sends after copying this one's.
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

/// p = 1: the output is the input.
class Alone final : public Schedule {
 public:
  Alone(const Shape& shape, int rank) : count_(shape.count), rank_(rank) {}
  [[nodiscard]] std::uint64_t steps() const override { return 1; }
  [[nodiscard]] Step step(std::uint64_t) const override {
    return {.kind = StepKind::reduce, .sources = 1, .destinations = 1};
  }
  [[nodiscard]] Operand source(std::uint64_t, int) const override {
    return {rank_, {Buffer::input, 0, count_}, {}};
  }
  [[nodiscard]] Operand destination(std::uint64_t, int) const override {
    return {rank_, {Buffer::output, 0, count_}, {}};
  }
  [[nodiscard]] std::uint64_t scratch() const override { return 0; }

 private:
  std::uint64_t count_;
  int rank_;
};

/// put, wait.
class Guest final : public Schedule {
 public:
  Guest(const Shape& shape, int rank)
      : count_(shape.count),
        host_(rank - 1),
        slot_(static_cast<std::uint64_t>(Folding(shape.size).rounds) *
              slot_stride(shape, shape.count)) {}
  [[nodiscard]] std::uint64_t steps() const override { return 2; }
  [[nodiscard]] Step step(std::uint64_t i) const override {
    if (i == 1) {
      return {.kind = StepKind::wait, .peer = host_, .target = {Buffer::output, 0, count_}};
    }
    return {.kind = StepKind::put,
            .peer = host_,
            .source = {Buffer::input, 0, count_},
            .target = {Buffer::scratch, slot_, count_}};
  }
  [[nodiscard]] Operand source(std::uint64_t, int) const override { return {}; }
  [[nodiscard]] Operand destination(std::uint64_t, int) const override { return {}; }
  [[nodiscard]] std::uint64_t scratch() const override { return 0; }

 private:
  std::uint64_t count_;
  int host_;
  std::uint64_t slot_;  ///< in the host's scratch, behind those of its rounds
};

/// With a guest: wait, reduce; then put, wait, reduce in each round; then put.
/// Without:      put, wait, reduce in each round, with the flush before the last reduce.
class Host final : public Schedule {
 public:
  Host(const Shape& shape, int rank)
      : count_(shape.count),
        stride_(slot_stride(shape, shape.count)),
        folding_(shape.size),
        rank_(rank),
        guest_(folding_.has_guest(rank)) {}

  [[nodiscard]] std::uint64_t steps() const override {
    return head() + 3 * static_cast<std::uint64_t>(folding_.rounds) + 1;
  }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    const At at = locate(i);
    switch (at.action) {
      case Action::put:
        return {.kind = StepKind::put,
                .peer = folding_.partner(rank_, at.round),
                .source = held(at.round),
                .target = slot(at.round)};
      case Action::wait:
        return {.kind = StepKind::wait,
                .peer = folding_.partner(rank_, at.round),
                .target = slot(at.round)};
      case Action::reduce:
      case Action::reduce_guest:
        return {.kind = StepKind::reduce, .sources = 2, .destinations = 1};
      case Action::flush:
        return {.kind = StepKind::flush};
      case Action::wait_guest:
        return {.kind = StepKind::wait, .peer = rank_ + 1, .target = slot(folding_.rounds)};
      case Action::put_guest:
        return {.kind = StepKind::put, .peer = rank_ + 1, .source = output(), .target = output()};
    }
    return {};
  }

  [[nodiscard]] Operand source(std::uint64_t i, int j) const override {
    const At at = locate(i);
    if (at.action == Action::reduce_guest) {
      return {rank_, j == 0 ? input() : slot(folding_.rounds), {}};
    }
    const bool upper = (folding_.position(rank_) >> at.round & 1) != 0;
    return {rank_, (j == 0) == upper ? slot(at.round) : held(at.round), {}};
  }

  [[nodiscard]] Operand destination(std::uint64_t i, int) const override {
    const At at = locate(i);
    if (at.action == Action::reduce_guest) return {rank_, slot(folding_.rounds), {}};
    return {rank_, at.round + 1 == folding_.rounds ? output() : slot(at.round), {}};
  }

  [[nodiscard]] std::uint64_t scratch() const override {
    return static_cast<std::uint64_t>(folding_.rounds + (guest_ ? 1 : 0)) * stride_;
  }

 private:
  enum class Action : std::uint8_t {
    put,
    wait,
    reduce,
    flush,
    wait_guest,
    reduce_guest,
    put_guest
  };
  struct At {
    Action action;
    int round;
  };

  [[nodiscard]] std::uint64_t head() const { return guest_ ? 2 : 0; }

  [[nodiscard]] At locate(std::uint64_t i) const {
    if (i < head()) return {i == 0 ? Action::wait_guest : Action::reduce_guest, 0};
    const std::uint64_t in_rounds = i - head();
    const auto last = static_cast<std::uint64_t>(folding_.rounds - 1);
    const std::uint64_t round = in_rounds / 3 < last ? in_rounds / 3 : last;
    const auto r = static_cast<int>(round);
    switch (in_rounds - 3 * round) {
      case 0:
        return {Action::put, r};
      case 1:
        return {Action::wait, r};
      case 2:
        return {guest_ || round != last ? Action::reduce : Action::flush, r};
    }
    return {guest_ ? Action::put_guest : Action::reduce, r};
  }

  [[nodiscard]] Slice input() const { return {Buffer::input, 0, count_}; }
  [[nodiscard]] Slice output() const { return {Buffer::output, 0, count_}; }
  /// One per round, then the guest's.
  [[nodiscard]] Slice slot(int number) const {
    return {Buffer::scratch, static_cast<std::uint64_t>(number) * stride_, count_};
  }
  /// Where the sum is that this rank has before `round`.
  [[nodiscard]] Slice held(int round) const {
    if (round > 0) return slot(round - 1);
    return guest_ ? slot(folding_.rounds) : input();
  }

  std::uint64_t count_;
  std::uint64_t stride_;
  Folding folding_;
  int rank_;
  bool guest_;
};

}  // namespace

std::unique_ptr<Schedule> recursive_doubling_all_reduce(const Shape& shape, int rank) {
  if (shape.size == 1) return std::make_unique<Alone>(shape, rank);
  if (Folding(shape.size).is_guest(rank)) return std::make_unique<Guest>(shape, rank);
  return std::make_unique<Host>(shape, rank);
}

}  // namespace paceline::collectives
