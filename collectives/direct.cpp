// Direct all_reduce, reduce and reduce_scatter: every pair of ranks talks, part r is reduced by
// rank r. A part is a chunk or, in a reduce_scatter, a block.
//
//   expose   the input part q goes to rank q, for every q
//   reduce   part r of everybody's input, in the order of the ranks, into the output of all who are
//            to have it: everybody, the root, or rank r alone
//   publish  part r goes to those; the others only hear that their input has been read
//
// With mapped memory the reduce reads and writes the peers' memory itself: one pass over the data,
// and exposing and publishing shrink to signals. Without, they are puts: exposed chunks arrive in a
// slot of scratch per peer, published ones in the output. What the root gets is put from a slot of
// the sender's, since only the root has an output. Ranks begin with the peer behind them
// (r+1, r+2, ...), so that not all write to the same one at a time. Empty parts are exposed and
// published like others, so that everybody expects the same number of signals.
//
// Why no flush and no credit is needed. Each thing that is written over must have been read:
//  - In place, part q of my input is written over by rank q only, which has waited until it was
//    exposed and has read it in that very reduce (mapped) or received it into its scratch.
//    My own part r is read and written by the same reduce.
//  - A result that is kept lies in my slot for that peer, which writes there next, and has loaded
//    it before. At the end I wait until it has: then my scratch is mine again.
//  - Rank q's slot for me is written in the next instance after q published, and q has read the
//    slot before. My shadow is written by q after I exposed the next instance's part to q, and
//    before that I copied this one's; my slot for the root is written over after the root exposed,
//    as well.
#include "collectives/chunks.h"
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

/// Who gets a part that has been reduced, besides who reduced it.
enum class Publish : std::uint8_t { to_all, to_root, to_nobody };

class DirectReduction final : public Schedule {
 public:
  DirectReduction(const Shape& shape, int rank, Publish publish)
      : parts_(shape, publish == Publish::to_nobody),
        publish_(publish),
        root_(shape.root),
        size_(shape.size),
        rank_(rank),
        peers_(static_cast<std::uint64_t>(shape.size - 1)) {}

  [[nodiscard]] std::uint64_t steps() const override {
    return (publish_ == Publish::to_all ? 6 : 4) * peers_ + 1;
  }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    if (i < peers_) {
      const int peer = after(i);
      return put(peer, parts_.input(peer), slot(peer, rank_));
    }
    if (i < 2 * peers_) {
      const int peer = before(i - peers_);
      return wait(peer, slot(rank_, peer));
    }
    if (i == 2 * peers_) {
      return {.kind = StepKind::reduce, .sources = size_, .destinations = destinations()};
    }
    if (i <= 3 * peers_) {
      const int peer = after(i - 2 * peers_ - 1);
      if (!gets_results(peer)) return {.kind = StepKind::signal, .peer = peer};
      return put(peer, result(), parts_.output(rank_), kept(rank_, peer));
    }
    if (i <= 4 * peers_) {
      const int peer = before(i - 3 * peers_ - 1);
      return wait(peer, gets_results(rank_) ? parts_.output(peer) : Slice{}, kept(peer, rank_));
    }
    if (i <= 5 * peers_) {
      return {.kind = StepKind::signal,
              .peer = before(i - 4 * peers_ - 1),
              .only = Only::if_result_loaded};
    }
    return {
        .kind = StepKind::wait, .peer = after(i - 5 * peers_ - 1), .only = Only::if_result_loaded};
  }

  [[nodiscard]] Operand source(std::uint64_t, int j) const override {
    const Slice slice = parts_.input(rank_);
    if (j == rank_) return {j, slice, {}};
    return {j, slice, slot(rank_, j)};
  }

  [[nodiscard]] Operand destination(std::uint64_t, int j) const override {
    if (publish_ == Publish::to_all) {
      return {j, parts_.output(rank_), {}, j == rank_ ? kNowhere : kept(rank_, j)};
    }
    if (j == 0) return {rank_, result(), {}};
    return {root_, parts_.output(rank_), {}};
  }

  [[nodiscard]] Keeping keeping() const override {
    return publish_ == Publish::to_all ? Keeping::always : Keeping::never;
  }
  [[nodiscard]] std::uint64_t scratch() const override {
    const std::uint64_t slots = peers_ + (result().buffer == Buffer::scratch ? 1 : 0);
    return slots * parts_.stride();
  }

 private:
  [[nodiscard]] bool gets_results(int rank) const {
    return publish_ == Publish::to_all || (publish_ == Publish::to_root && rank == root_);
  }
  [[nodiscard]] int destinations() const {
    if (publish_ == Publish::to_all) return size_;
    return publish_ == Publish::to_root && rank_ != root_ ? 2 : 1;
  }
  /// Where this rank keeps its part.
  [[nodiscard]] Slice result() const {
    const Slice output = parts_.output(rank_);
    if (publish_ != Publish::to_root || rank_ == root_) return output;
    return {Buffer::scratch, peers_ * parts_.stride(), output.length};
  }

  /// The peers in the order in which I put to them, and in which they put to me.
  [[nodiscard]] int after(std::uint64_t i) const {
    return wrapped(rank_ + 1 + static_cast<int>(i), size_);
  }
  [[nodiscard]] int before(std::uint64_t i) const {
    return wrapped(rank_ - 1 - static_cast<int>(i), size_);
  }

  /// Where `owner` receives what `peer` exposes to it: its own part, in a slot per other rank.
  [[nodiscard]] Slice slot(int owner, int peer) const {
    return {Buffer::scratch, slot_offset(owner, peer), parts_.input(owner).length};
  }
  [[nodiscard]] std::uint64_t slot_offset(int owner, int peer) const {
    return static_cast<std::uint64_t>(peer < owner ? peer : peer - 1) * parts_.stride();
  }

  /// Where `owner` keeps its result for `peer`: where that has put its part of the input.
  [[nodiscard]] std::uint64_t kept(int owner, int peer) const {
    return publish_ == Publish::to_all ? slot_offset(owner, peer) : kNowhere;
  }

  [[nodiscard]] static Step put(int peer, const Slice& source, const Slice& target,
                                std::uint64_t kept = kNowhere) {
    return {.kind = StepKind::put,
            .peer = peer,
            .source = source,
            .target = target,
            .elidable = true,
            .kept = kept};
  }
  [[nodiscard]] static Step wait(int peer, const Slice& target, std::uint64_t kept = kNowhere) {
    return {.kind = StepKind::wait, .peer = peer, .target = target, .kept = kept};
  }

  Parts parts_;
  Publish publish_;
  int root_;
  int size_;
  int rank_;
  std::uint64_t peers_;
};

}  // namespace

std::unique_ptr<Schedule> direct_all_reduce(const Shape& shape, int rank) {
  return std::make_unique<DirectReduction>(shape, rank, Publish::to_all);
}

std::unique_ptr<Schedule> direct_reduce(const Shape& shape, int rank) {
  return std::make_unique<DirectReduction>(shape, rank, Publish::to_root);
}

std::unique_ptr<Schedule> direct_reduce_scatter(const Shape& shape, int rank) {
  return std::make_unique<DirectReduction>(shape, rank, Publish::to_nobody);
}

}  // namespace paceline::collectives
