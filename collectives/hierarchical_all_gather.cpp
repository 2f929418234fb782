// Hierarchical all_gather: every block crosses the wires once for each other host, and is passed on
// there in memory. A host takes in n for each rank of the others, which is the least possible, from
// all of its ranks and by all of its ranks.
//
//   copy     my block into my output; in place it is there, and nothing may be under way from it
//   across   it is put to its driver on each other host (drivers.h), beginning with the host behind
//            mine
//   own      and given to all on my host
//   relay    of each block that I drive: wait for it, give it to all on my host
//   collect  what my host's other ranks give: their own blocks, and those that they drive
//
// Giving is one reduce of one source, which reads the block once and stores it wherever it can, and
// puts, which shrink to signals there.
//
// Why no acknowledgement is needed: as in direct_exchange.cpp, along the way that a block takes.
//
// No flush: nothing is written over within an instance. Nobody touches the input of another.
#include "collectives/chunks.h"
#include "collectives/drivers.h"
#include "collectives/own_host.h"
#include "collectives/schedule.h"
#include "collectives/sections.h"

namespace paceline::collectives {
namespace {

class HierarchicalAllGather final : public Schedule {
 public:
  HierarchicalAllGather(const Shape& shape, int rank)
      : shape_(shape),
        placement_(*shape.placement),
        rank_(rank),
        host_(placement_, rank),
        driven_(placement_, host_, Driven::Order::from_before),
        peers_(host_.peers()) {
    // One for each peer, since they may drive unequal numbers: its blocks.
    for (std::uint64_t i = 0; i < peers_; ++i) {
      collect_.add(driven_.by(host_.before(i)).size() + 1);
    }
    for (const std::uint64_t steps : {std::uint64_t{1}, host_.other_hosts(), giving_steps(),
                                      driven_.by(rank).size() * relay_steps(), collect_.steps()}) {
      sections_.add(steps);
    }
  }

  [[nodiscard]] std::uint64_t steps() const override { return sections_.steps(); }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    const Place at = find(i);
    switch (at.section) {
      case Section::copy:
        return {.kind = StepKind::reduce, .sources = 1, .destinations = 1};
      case Section::across:
        return put(driver(at.step), rank_, false);
      case Section::own:
        return give(rank_, at.step);
      case Section::relay:
        return relay(driven(at.step), at.step % relay_steps());
      case Section::collect:
        return collect(at.step);
    }
    return {};
  }

  [[nodiscard]] Operand source(std::uint64_t i, int) const override {
    const Place at = find(i);
    if (at.section == Section::copy) return {rank_, block(shape_, Buffer::input), {}};
    return {rank_, output(given(at)), {}};
  }
  [[nodiscard]] Operand destination(std::uint64_t i, int j) const override {
    const Place at = find(i);
    if (at.section == Section::copy) return {rank_, output(rank_), {}};
    return {host_.after(static_cast<std::uint64_t>(j)), output(given(at)), {}};
  }
  [[nodiscard]] std::uint64_t scratch() const override { return 0; }

 private:
  /// In this order.
  enum class Section : std::uint8_t { copy, across, own, relay, collect };
  struct Place {
    Section section;
    std::uint64_t step;
  };
  [[nodiscard]] Place find(std::uint64_t i) const {
    const Sections::At at = sections_.find(i);
    return {static_cast<Section>(at.section), at.step};
  }

  /// reduce, a put to each peer; needless where the reduce has stored the block. Nothing where
  /// there is nobody else.
  [[nodiscard]] std::uint64_t giving_steps() const { return peers_ == 0 ? 0 : 1 + peers_; }
  [[nodiscard]] Step give(int number, std::uint64_t step) const {
    if (step > 0) return put(host_.after(step - 1), number, true);
    return {.kind = StepKind::reduce, .sources = 1, .destinations = host_.ranks() - 1};
  }
  /// wait, give.
  [[nodiscard]] std::uint64_t relay_steps() const { return 1 + giving_steps(); }
  [[nodiscard]] int driven(std::uint64_t relay_step) const {
    return driven_.by(rank_)[relay_step / relay_steps()];
  }
  [[nodiscard]] Step relay(int number, std::uint64_t step) const {
    if (step == 0) return {.kind = StepKind::wait, .peer = number, .target = output(number)};
    return give(number, step - 1);
  }
  /// The block that a step of `own` or `relay` gives.
  [[nodiscard]] int given(const Place& at) const {
    return at.section == Section::own ? rank_ : driven(at.step);
  }

  [[nodiscard]] Step collect(std::uint64_t step) const {
    const Sections::At at = collect_.find(step);
    const int peer = host_.before(at.section);
    const std::span<const int> theirs = driven_.by(peer);
    const int number = at.step == 0 ? peer : theirs[at.step - 1];
    return {.kind = StepKind::wait, .peer = peer, .target = output(number)};
  }

  /// Mine on the i-th host behind my own.
  [[nodiscard]] int driver(std::uint64_t i) const {
    return driver_of(placement_, rank_, host_.host_after(i));
  }
  [[nodiscard]] Slice output(int number) const { return block(shape_, Buffer::output, number); }
  [[nodiscard]] Step put(int peer, int number, bool elidable) const {
    return {.kind = StepKind::put,
            .peer = peer,
            .source = output(number),
            .target = output(number),
            .elidable = elidable};
  }

  Shape shape_;
  const Placement& placement_;
  int rank_;
  OwnHost host_;
  Driven driven_;
  std::uint64_t peers_;  ///< on my host
  Sections collect_;     ///< by peer
  Sections sections_;
};

}  // namespace

std::unique_ptr<Schedule> hierarchical_all_gather(const Shape& shape, int rank) {
  return std::make_unique<HierarchicalAllGather>(shape, rank);
}

}  // namespace paceline::collectives
