// Direct broadcast, scatter and gather: the root talks to every rank.
//
// Broadcast and scatter. The root exposes a block to each rank: its buffer, or the block for that
// rank. With mapped memory the rank copies it from the root's memory itself, all ranks at the same
// time, and exposing is a signal; without, the block is put into the rank's scratch, and the rank
// copies it from there. Then the rank signals that it has read the block.
//
// Gather. Each rank puts its block into the root's output, and the root signals when it is there.
//
// Why nothing else is needed. The signal that comes back says that the root's buffer is no longer
// read, and that the rank has done with its scratch, or the root with its shadow, into which the
// next instance writes. No flush: nothing is written over within an instance.
#include "collectives/chunks.h"
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

constexpr Step kCopy = {.kind = StepKind::reduce, .sources = 1, .destinations = 1};

/// The root: a put to each rank; its own copy, for a scatter; a wait for each.
/// The others: wait, copy, signal.
class DirectFromRoot final : public Schedule {
 public:
  DirectFromRoot(const Shape& shape, int rank, bool scatters)
      : shape_(shape),
        rank_(rank),
        copies_(rank != shape.root || scatters ? 1 : 0),
        peers_(static_cast<std::uint64_t>(shape.size - 1)),
        scatters_(scatters) {}

  [[nodiscard]] std::uint64_t steps() const override {
    return rank_ == shape_.root ? 2 * peers_ + copies_ : 3;
  }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    if (rank_ != shape_.root) {
      if (i == 1) return kCopy;
      if (i == 0) return {.kind = StepKind::wait, .peer = shape_.root, .target = slot()};
      return {.kind = StepKind::signal, .peer = shape_.root};
    }
    if (i < peers_) {
      const int peer = after(i);
      return {.kind = StepKind::put,
              .peer = peer,
              .source = exposed(peer),
              .target = slot(),
              .elidable = true};
    }
    if (i < peers_ + copies_) return kCopy;
    return {.kind = StepKind::wait, .peer = after(i - peers_ - copies_)};
  }

  [[nodiscard]] Operand source(std::uint64_t, int) const override {
    if (rank_ == shape_.root) return {rank_, exposed(rank_), {}};
    return {shape_.root, exposed(rank_), slot()};
  }
  [[nodiscard]] Operand destination(std::uint64_t, int) const override {
    return {rank_, block(shape_, Buffer::output), {}};
  }
  [[nodiscard]] std::uint64_t scratch() const override {
    return rank_ == shape_.root ? 0 : shape_.count;
  }

 private:
  [[nodiscard]] int after(std::uint64_t i) const {
    return wrapped(shape_.root + 1 + static_cast<int>(i), shape_.size);
  }
  /// In the root's memory, for `rank`.
  [[nodiscard]] Slice exposed(int rank) const {
    return scatters_ ? block(shape_, Buffer::input, rank) : block(shape_, Buffer::output);
  }
  [[nodiscard]] Slice slot() const { return block(shape_, Buffer::scratch); }

  Shape shape_;
  int rank_;
  std::uint64_t copies_;
  std::uint64_t peers_;
  bool scatters_;
};

/// The root: copy; wait, signal for each rank. The others: put, wait.
class DirectGather final : public Schedule {
 public:
  DirectGather(const Shape& shape, int rank)
      : shape_(shape), rank_(rank), peers_(static_cast<std::uint64_t>(shape.size - 1)) {}

  [[nodiscard]] std::uint64_t steps() const override {
    return rank_ == shape_.root ? 1 + 2 * peers_ : 2;
  }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    if (rank_ != shape_.root) {
      if (i == 1) return {.kind = StepKind::wait, .peer = shape_.root};
      return {.kind = StepKind::put,
              .peer = shape_.root,
              .source = block(shape_, Buffer::input),
              .target = gathered(rank_)};
    }
    if (i == 0) return kCopy;
    const int peer = wrapped(rank_ + 1 + static_cast<int>((i - 1) / 2), shape_.size);
    if (i % 2 == 0) return {.kind = StepKind::signal, .peer = peer};
    return {.kind = StepKind::wait, .peer = peer, .target = gathered(peer)};
  }

  [[nodiscard]] Operand source(std::uint64_t, int) const override {
    return {rank_, block(shape_, Buffer::input), {}};
  }
  [[nodiscard]] Operand destination(std::uint64_t, int) const override {
    return {rank_, gathered(rank_), {}};
  }
  [[nodiscard]] std::uint64_t scratch() const override { return 0; }

 private:
  [[nodiscard]] Slice gathered(int number) const { return block(shape_, Buffer::output, number); }

  Shape shape_;
  int rank_;
  std::uint64_t peers_;
};

}  // namespace

std::unique_ptr<Schedule> direct_broadcast(const Shape& shape, int rank) {
  return std::make_unique<DirectFromRoot>(shape, rank, false);
}

std::unique_ptr<Schedule> direct_scatter(const Shape& shape, int rank) {
  return std::make_unique<DirectFromRoot>(shape, rank, true);
}

std::unique_ptr<Schedule> direct_gather(const Shape& shape, int rank) {
  return std::make_unique<DirectGather>(shape, rank);
}

}  // namespace paceline::collectives
