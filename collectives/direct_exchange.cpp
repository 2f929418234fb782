// Direct all_gather and all_to_all: every rank puts a block into every other rank's output.
//
//   all_gather   rank r's block goes to output block r of everybody. One reduce of one source
//                copies it to all others whose output can be mapped; the puts that follow shrink
//                to signals there.
//   all_to_all   rank r's block q goes to output block r of rank q, by a put of its own. A put into
//                mapped memory is one pass already.
//
// Ranks begin with the peer behind them (r+1, r+2, ...), so that not all write to the same one at a
// time, and take what comes in in the order in which it was sent (from r-1, r-2, ...).
//
// What is given to others comes before the own copy: they wait for it.
//
// Why no acknowledgement is needed. A rank puts the next instance but one into the shadow from
// which a peer copies this one's block. It has received that peer's block of the next instance by
// then, which the peer puts after it has ended this one.
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
        peers_(static_cast<std::uint64_t>(shape.size - 1)),
        puts_(gathers && shape.size > 1 ? 1 : 0),
        own_(puts_ + peers_) {}

  // A gather's copy to the peers; a put to each; the own copy; a wait for each.
  [[nodiscard]] std::uint64_t steps() const override { return puts_ + 1 + 2 * peers_; }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    if (i < puts_) {
      return {.kind = StepKind::reduce, .sources = 1, .destinations = shape_.size - 1};
    }
    if (i == own_) return {.kind = StepKind::reduce, .sources = 1, .destinations = 1};
    if (i < own_) {
      const int peer = after(i - puts_);
      return {.kind = StepKind::put,
              .peer = peer,
              .source = block(shape_, Buffer::input, gathers_ ? 0 : peer),
              .target = output(rank_),
              .elidable = gathers_};
    }
    const int peer = before(i - own_ - 1);
    return {.kind = StepKind::wait, .peer = peer, .target = output(peer)};
  }

  [[nodiscard]] Operand source(std::uint64_t, int) const override {
    return {rank_, block(shape_, Buffer::input, gathers_ ? 0 : rank_), {}};
  }
  // The peers' outputs in the order of the puts, or the own one.
  [[nodiscard]] Operand destination(std::uint64_t i, int j) const override {
    const int owner = i == own_ ? rank_ : after(static_cast<std::uint64_t>(j));
    return {owner, output(rank_), {}};
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
  std::uint64_t puts_;  ///< the first step that is one
  std::uint64_t own_;   ///< the step that copies to the own output
};

}  // namespace

std::unique_ptr<Schedule> direct_all_gather(const Shape& shape, int rank) {
  return std::make_unique<DirectExchange>(shape, rank, true);
}

std::unique_ptr<Schedule> direct_all_to_all(const Shape& shape, int rank) {
  return std::make_unique<DirectExchange>(shape, rank, false);
}

}  // namespace paceline::collectives
