// Direct all_reduce: every pair of ranks talks, chunk r is reduced by rank r.
//
//   expose   the input chunk q goes to rank q, for every q
//   reduce   chunk r of everybody's input, in the order of the ranks, into everybody's output
//   publish  the output chunk r goes to every rank
//
// With mapped memory the reduce reads and writes the peers' memory itself: one pass over the data,
// and exposing and publishing shrink to signals. Without, they are puts: exposed chunks arrive in a
// slot of scratch per peer, published ones in the output. Ranks begin with the peer behind them
// (r+1, r+2, ...), so that not all write to the same one at a time. Empty chunks are exposed and
// published like others, so that everybody expects the same number of signals.
//
// Why no flush and no credit is needed. Each thing that is written over must have been read:
//  - In place, chunk q of my input is written over by rank q only, which has waited until it was
//    exposed and has read it in that very reduce (mapped) or received it into its scratch.
//    My own chunk r is read and written by the same reduce.
//  - Rank q's slot for me is written in the next instance after q's result came, and q has read the
//    slot before. My shadow is written by q after I exposed the next instance's chunk to q, and
//    before that I copied this one's.
#include "collectives/chunks.h"
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

class DirectAllReduce final : public Schedule {
 public:
  DirectAllReduce(const Shape& shape, int rank)
      : chunks_(shape),
        size_(shape.size),
        rank_(rank),
        peers_(static_cast<std::uint64_t>(shape.size - 1)) {}

  [[nodiscard]] std::uint64_t steps() const override { return 4 * peers_ + 1; }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    if (i < peers_) {
      const int peer = after(i);
      return put(peer, chunk(Buffer::input, peer), slot(peer, rank_));
    }
    if (i < 2 * peers_) {
      const int peer = before(i - peers_);
      return wait(peer, slot(rank_, peer));
    }
    if (i == 2 * peers_) {
      return {.kind = StepKind::reduce, .sources = size_, .destinations = size_};
    }
    if (i <= 3 * peers_) {
      return put(after(i - 2 * peers_ - 1), chunk(Buffer::output, rank_),
                 chunk(Buffer::output, rank_));
    }
    const int peer = before(i - 3 * peers_ - 1);
    return wait(peer, chunk(Buffer::output, peer));
  }

  [[nodiscard]] Operand source(std::uint64_t, int j) const override {
    const Slice slice = chunk(Buffer::input, rank_);
    if (j == rank_) return {j, slice, {}};
    return {j, slice, slot(rank_, j)};
  }

  [[nodiscard]] Operand destination(std::uint64_t, int j) const override {
    return {j, chunk(Buffer::output, rank_), {}};
  }

  [[nodiscard]] std::uint64_t scratch() const override { return peers_ * chunks_.length(); }

 private:
  /// The peers in the order in which I put to them, and in which they put to me.
  [[nodiscard]] int after(std::uint64_t i) const {
    return wrapped(rank_ + 1 + static_cast<int>(i), size_);
  }
  [[nodiscard]] int before(std::uint64_t i) const {
    return wrapped(rank_ - 1 - static_cast<int>(i), size_);
  }

  [[nodiscard]] Slice chunk(Buffer buffer, int number) const {
    return chunks_.slice(buffer, number);
  }
  /// Where `owner` receives what `peer` exposes to it: its own chunk, in a slot per other rank.
  [[nodiscard]] Slice slot(int owner, int peer) const {
    const int number = peer < owner ? peer : peer - 1;
    return {Buffer::scratch, static_cast<std::uint64_t>(number) * chunks_.length(),
            chunks_.at(owner).length};
  }

  [[nodiscard]] static Step put(int peer, const Slice& source, const Slice& target) {
    return {
        .kind = StepKind::put, .peer = peer, .source = source, .target = target, .elidable = true};
  }
  [[nodiscard]] static Step wait(int peer, const Slice& target) {
    return {.kind = StepKind::wait, .peer = peer, .target = target};
  }

  Chunks chunks_;
  int size_;
  int rank_;
  std::uint64_t peers_;
};

}  // namespace

std::unique_ptr<Schedule> direct_all_reduce(const Shape& shape, int rank) {
  return std::make_unique<DirectAllReduce>(shape, rank);
}

}  // namespace paceline::collectives
