// Hierarchical reduce_scatter: the ranks of a host sum up their inputs for everybody, and each sum
// crosses the wires once, to the rank whose block it is. A host sends n for each rank of the
// others, which is the least possible, from all of its ranks and to all of theirs.
//
//   expose   to every other rank on my host, the blocks that it drives (drivers.h) and its own
//   across   of each block that I drive, beginning with the host behind mine: everybody's on my
//   host
//            in the order of the ranks, put to the rank whose block it is
//   own      the same of my own block, which stays here; then the others hear that I have read
//   finish   the sums of the other hosts come in, and are combined with mine in the order of the
//            hosts
//   heard    who put me a sum hears that it has been read, and I wait to hear from all to whom I
//            put or exposed anything
//
// Exposed blocks are read in place where memory is mapped, and else arrive in a slot of scratch for
// each block and peer. Sums are in scratch, those of other hosts in a slot for each of them. A rank
// that is alone on its host takes its input for the sum.
//
// Why no flush and no more credit is needed. What a rank writes over in another's scratch, in a
// later instance, it has heard of: that is what all the signals are for. Its own sums are read by
// puts that have been acknowledged. In place, only my own block of my input is written over, by the
// last step, and nobody else ever reads that one.
#include "collectives/chunks.h"
#include "collectives/drivers.h"
#include "collectives/own_host.h"
#include "collectives/schedule.h"
#include "collectives/sections.h"

namespace paceline::collectives {
namespace {

class HierarchicalReduceScatter final : public Schedule {
 public:
  HierarchicalReduceScatter(const Shape& shape, int rank)
      : shape_(shape),
        placement_(*shape.placement),
        rank_(rank),
        host_(placement_, rank),
        driven_(placement_, host_, Driven::Order::from_behind),
        mine_(driven_.by(rank)),
        peers_(host_.peers()),
        others_(host_.other_hosts()) {
    // One for each peer, since they may drive unequal numbers.
    for (std::uint64_t i = 0; i < peers_; ++i) {
      expose_.add(driven_.by(host_.after(i)).size() + 1);
    }
    for (const std::uint64_t steps :
         {expose_.steps(), mine_.size() * (combine_steps() + 1), combine_steps(), peers_, others_,
          std::uint64_t{1}, others_, peers_, std::uint64_t{mine_.size()}}) {
      sections_.add(steps);
    }
  }

  [[nodiscard]] std::uint64_t steps() const override { return sections_.steps(); }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    const Place at = find(i);
    switch (at.section) {
      case Section::expose:
        return expose(at.step);
      case Section::across: {
        const std::uint64_t number = at.step / (combine_steps() + 1);
        const std::uint64_t step = at.step % (combine_steps() + 1);
        if (step < combine_steps()) return combine(number, step);
        const int owner = mine_[number];
        return {.kind = StepKind::put,
                .peer = owner,
                .source = sum(number),
                .target = from_host(placement_.host_of(owner), host_.number())};
      }
      case Section::own:
        return combine(mine_.size(), at.step);
      case Section::have_read:
        return {.kind = StepKind::signal, .peer = host_.after(at.step)};
      case Section::sums: {
        const int other = host_.host_before(at.step);
        return {.kind = StepKind::wait,
                .peer = driver_of(placement_, rank_, other),
                .target = from_host(host_.number(), other)};
      }
      case Section::finish:
        return {.kind = StepKind::reduce, .sources = placement_.hosts(), .destinations = 1};
      case Section::have_finished:
        return {.kind = StepKind::signal,
                .peer = driver_of(placement_, rank_, host_.host_before(at.step))};
      case Section::heard_on_host:
        return {.kind = StepKind::wait, .peer = host_.before(at.step)};
      case Section::heard_across:
        return {.kind = StepKind::wait, .peer = mine_[at.step]};
    }
    return {};
  }

  [[nodiscard]] Operand source(std::uint64_t i, int j) const override {
    const Place at = find(i);
    if (at.section == Section::finish) {
      return {rank_, j == host_.number() ? sum(mine_.size()) : from_host(host_.number(), j), {}};
    }
    const std::uint64_t number = combined(at);
    const int owner = host_.rank(j);
    const Slice input = block(shape_, Buffer::input, block_of(number));
    if (owner == rank_) return {owner, input, {}};
    return {owner, input, slot(rank_, owner, number)};
  }
  [[nodiscard]] Operand destination(std::uint64_t i, int) const override {
    const Place at = find(i);
    if (at.section == Section::finish) return {rank_, block(shape_, Buffer::output), {}};
    return {rank_, sum(combined(at)), {}};
  }

  // A slot for each other host; if there are peers, for each of my blocks a slot for each of them,
  // and the sum.
  [[nodiscard]] std::uint64_t scratch() const override {
    const std::uint64_t blocks = peers_ == 0 ? 0 : (mine_.size() + 1) * (peers_ + 1);
    return (others_ + blocks) * stride();
  }

 private:
  /// In this order.
  enum class Section : std::uint8_t {
    expose,
    across,
    own,
    have_read,
    sums,
    finish,
    have_finished,
    heard_on_host,
    heard_across
  };
  struct Place {
    Section section;
    std::uint64_t step;
  };
  [[nodiscard]] Place find(std::uint64_t i) const {
    const Sections::At at = sections_.find(i);
    return {static_cast<Section>(at.section), at.step};
  }

  // My blocks are those that I drive, numbered in that order, and then my own.

  [[nodiscard]] int block_of(std::uint64_t number) const {
    return number < mine_.size() ? mine_[number] : rank_;
  }
  /// Which of them a step of `across` or `own` combines.
  [[nodiscard]] std::uint64_t combined(const Place& at) const {
    return at.section == Section::own ? mine_.size() : at.step / (combine_steps() + 1);
  }

  [[nodiscard]] Step expose(std::uint64_t step) const {
    const Sections::At at = expose_.find(step);
    const int peer = host_.after(at.section);
    const std::span<const int> theirs = driven_.by(peer);
    const int number = at.step < theirs.size() ? theirs[at.step] : peer;
    return {.kind = StepKind::put,
            .peer = peer,
            .source = block(shape_, Buffer::input, number),
            .target = slot(peer, rank_, at.step),
            .elidable = true};
  }

  /// A wait for each peer, reduce; nothing where there is nobody else.
  [[nodiscard]] std::uint64_t combine_steps() const { return peers_ == 0 ? 0 : peers_ + 1; }
  [[nodiscard]] Step combine(std::uint64_t number, std::uint64_t step) const {
    if (step == peers_) {
      return {.kind = StepKind::reduce, .sources = host_.ranks(), .destinations = 1};
    }
    const int peer = host_.before(step);
    return {.kind = StepKind::wait, .peer = peer, .target = slot(rank_, peer, number)};
  }

  [[nodiscard]] std::uint64_t stride() const { return slot_stride(shape_, shape_.count); }
  [[nodiscard]] Slice in_scratch(std::uint64_t position) const {
    return {Buffer::scratch, position * stride(), shape_.count};
  }
  /// Where a rank of `host` receives the sum of `other`.
  [[nodiscard]] Slice from_host(int host, int other) const {
    return in_scratch(static_cast<std::uint64_t>(other < host ? other : other - 1));
  }
  /// Where `owner` receives what `peer`, on the same host, exposes of block `number` of its.
  [[nodiscard]] Slice slot(int owner, int peer, std::uint64_t number) const {
    return in_scratch(others_ + number * (peers_ + 1) + host_.index(owner, peer));
  }
  [[nodiscard]] Slice sum(std::uint64_t number) const {
    if (peers_ == 0) return block(shape_, Buffer::input, block_of(number));
    return in_scratch(others_ + number * (peers_ + 1) + peers_);
  }

  Shape shape_;
  const Placement& placement_;
  int rank_;
  OwnHost host_;
  Driven driven_;
  std::span<const int> mine_;  ///< what I drive
  std::uint64_t peers_;        ///< on my host
  std::uint64_t others_;       ///< other hosts
  Sections expose_;            ///< by peer
  Sections sections_;
};

}  // namespace

std::unique_ptr<Schedule> hierarchical_reduce_scatter(const Shape& shape, int rank) {
  return std::make_unique<HierarchicalReduceScatter>(shape, rank);
}

}  // namespace paceline::collectives
