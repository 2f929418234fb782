// Direct all_gather and all_to_all: every rank puts a block into every other rank's output.
//
//   all_gather   rank r's block goes to output block r of everybody. One reduce of one source
//   copies
//                it to all whose output can be mapped, so that it is read once; the puts that
//                follow shrink to signals there.
//   all_to_all   rank r's block q goes to output block r of rank q, by a put of its own. A put into
//                mapped memory is one pass already.
//
// Ranks begin with the peer behind them (r+1, r+2, ...), so that not all write to the same one at a
// time, and take what comes in in the order in which it was sent (from r-1, r-2, ...).
//
// The acknowledgement. A rank signals each peer as soon as that one's block is there, and ends when
// all have acknowledged its own. Without, the next instance's blocks could be put into a shadow
// that is still being copied: what a peer has put says only that it has begun, since it puts first.
//
// No flush: nothing is written over within an instance. Nobody touches the input of another.
#include "collectives/chunks.h"
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

class DirectExchange final : public Schedule {
 public:
  DirectExchange(const Shape& shape, int rank, bool gathers)
      : shape_(shape),
        rank_(rank),
        gathers_(gathers),
        peers_(static_cast<std::uint64_t>(shape.size - 1)) {}

  // reduce; a put to each peer; wait, signal for each; a wait for each.
  [[nodiscard]] std::uint64_t steps() const override { return 1 + 4 * peers_; }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    if (i == 0) {
      return {.kind = StepKind::reduce, .sources = 1, .destinations = gathers_ ? shape_.size : 1};
    }
    if (i <= peers_) {
      const int peer = after(i - 1);
      return {.kind = StepKind::put,
              .peer = peer,
              .source = block(shape_, Buffer::input, gathers_ ? 0 : peer),
              .target = output(rank_),
              .elidable = gathers_};
    }
    if (i <= 3 * peers_) {
      const std::uint64_t in_waits = i - peers_ - 1;
      const int peer = before(in_waits / 2);
      if (in_waits % 2 == 1) return {.kind = StepKind::signal, .peer = peer};
      return {.kind = StepKind::wait, .peer = peer, .target = output(peer)};
    }
    return {.kind = StepKind::wait, .peer = after(i - 3 * peers_ - 1)};
  }

  [[nodiscard]] Operand source(std::uint64_t, int) const override {
    return {rank_, block(shape_, Buffer::input, gathers_ ? 0 : rank_), {}};
  }
  // The own output is the first, the peers' follow in the order of the puts.
  [[nodiscard]] Operand destination(std::uint64_t, int j) const override {
    return {wrapped(rank_ + j, shape_.size), output(rank_), {}};
  }
  [[nodiscard]] std::uint64_t scratch() const override { return 0; }

 private:
  /// The peers in the order in which I put to them, and in which they put to me.
  [[nodiscard]] int after(std::uint64_t i) const {
    return wrapped(rank_ + 1 + static_cast<int>(i), shape_.size);
  }
  [[nodiscard]] int before(std::uint64_t i) const {
    return wrapped(rank_ - 1 - static_cast<int>(i), shape_.size);
  }
  [[nodiscard]] Slice output(int number) const { return block(shape_, Buffer::output, number); }

  Shape shape_;
  int rank_;
  bool gathers_;  ///< all_gather
  std::uint64_t peers_;
};

}  // namespace

std::unique_ptr<Schedule> direct_all_gather(const Shape& shape, int rank) {
  return std::make_unique<DirectExchange>(shape, rank, true);
}

std::unique_ptr<Schedule> direct_all_to_all(const Shape& shape, int rank) {
  return std::make_unique<DirectExchange>(shape, rank, false);
}

}  // namespace paceline::collectives
