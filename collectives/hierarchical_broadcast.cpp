// Hierarchical broadcast: on the root's host each rank takes a part (shares.h) from the root,
// brings it to its counterparts on the other hosts, and everywhere the ranks of a host exchange
// their parts. What crosses wires is what one rank per host would put, but all ranks drive a part
// of it.
//
//   take     on the root's host: the root exposes part q to rank q, for every other q, which copies
//            it and signals that it has
//   across   a broadcast of each of my shares from its driver on the root's host to those on the
//            others; the shares of a part in step, as in hierarchical.cpp
//   publish  my part goes to every other rank on the host, but not to the root
//   collect  theirs come in; each is acknowledged
//   heard    I wait to hear from all to whom I exposed or published anything
//
// Parts are taken from the root's memory, and stored into the outputs of others, where memory is
// mapped: then exposing and publishing are signals. Else an exposed part arrives in scratch.
//
// Why no flush and no more credit is needed. A rank that ends has heard that its output is no
// longer read, and that what it has put has been copied out of shadows and scratch. Across hosts,
// the embedded broadcasts see to that themselves. Nothing is written over within an instance.
#include <vector>

#include "collectives/embedded.h"
#include "collectives/own_host.h"
#include "collectives/schedule.h"
#include "collectives/sections.h"
#include "collectives/shares.h"

namespace paceline::collectives {
namespace {

class HierarchicalBroadcast final : public Schedule {
 public:
  HierarchicalBroadcast(const Shape& shape, int rank)
      : placement_(*shape.placement),
        shares_(shape),
        rank_(rank),
        root_(shape.root),
        host_(placement_, rank),
        with_root_(host_.number() == placement_.host_of(root_)),
        peers_(host_.peers()),
        receivers_(with_root_ && rank != root_ ? peers_ - 1 : peers_) {
    Shape across = shape;
    across.placement = nullptr;
    across.size = placement_.hosts();
    across.root = placement_.host_of(root_);
    for (int share = shares_.first(rank); share < shares_.last(rank); ++share) {
      across.count = shares_.share(Buffer::output, share).length;
      across_.push_back(make_schedule(Collective::broadcast, broadcast_across(across.size), across,
                                      host_.number()));
    }
    const bool is_root = rank == root_;
    for (const std::uint64_t steps :
         {is_root      ? peers_
          : with_root_ ? std::uint64_t{3}
                       : std::uint64_t{0},
          across_.size() * across_.front()->steps(), receivers_ == 0 ? 0 : 1 + receivers_,
          is_root ? 0 : 2 * peers_, is_root ? peers_ : 0, receivers_}) {
      sections_.add(steps);
    }
  }

  [[nodiscard]] std::uint64_t steps() const override { return sections_.steps(); }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    const Place at = find(i);
    switch (at.section) {
      case Section::take:
        return rank_ == root_ ? expose(host_.after(at.step)) : take(at.step);
      case Section::across: {
        const std::uint64_t number = at.step % across_.size();
        const NamesOfShare names(*this, shares_.first(rank_) + static_cast<int>(number));
        return renamed(across_[number]->step(at.step / across_.size()), host_.number(), names);
      }
      case Section::publish:
        return publish(at.step);
      case Section::collect: {
        const int peer = host_.before(at.step / 2);
        if (at.step % 2 == 1) return {.kind = StepKind::signal, .peer = peer};
        return {.kind = StepKind::wait, .peer = peer, .target = part(peer)};
      }
      case Section::heard_of_taking:
        return {.kind = StepKind::wait, .peer = host_.after(at.step)};
      case Section::heard_of_parts:
        return {.kind = StepKind::wait, .peer = receiver(at.step)};
    }
    return {};
  }

  // The schedules across put and wait only.
  [[nodiscard]] Operand source(std::uint64_t i, int) const override {
    const Slice mine = part(rank_);
    if (find(i).section == Section::take) return {root_, mine, slot(rank_)};
    return {rank_, mine, {}};
  }
  [[nodiscard]] Operand destination(std::uint64_t i, int j) const override {
    const bool takes = find(i).section == Section::take;
    return {takes ? rank_ : receiver(static_cast<std::uint64_t>(j)), part(rank_), {}};
  }
  [[nodiscard]] std::uint64_t scratch() const override {
    return with_root_ && rank_ != root_ ? part(rank_).length : 0;
  }

 private:
  /// What the schedules across call their output is a share of the output.
  class NamesOfShare final : public Names {
   public:
    NamesOfShare(const HierarchicalBroadcast& whole, int share) : whole_(whole), share_(share) {}
    [[nodiscard]] int rank(int host) const override { return whole_.shares_.driver(host, share_); }
    [[nodiscard]] Slice slice(int, const Slice& slice) const override {
      const std::uint64_t begin = whole_.shares_.share(Buffer::output, share_).offset;
      return {slice.buffer, begin + slice.offset, slice.length};
    }

   private:
    const HierarchicalBroadcast& whole_;
    int share_;
  };

  /// In this order.
  enum class Section : std::uint8_t {
    take,
    across,
    publish,
    collect,
    heard_of_taking,
    heard_of_parts
  };
  struct Place {
    Section section;
    std::uint64_t step;
  };
  [[nodiscard]] Place find(std::uint64_t i) const {
    const Sections::At at = sections_.find(i);
    return {static_cast<Section>(at.section), at.step};
  }

  [[nodiscard]] Step expose(int peer) const {
    return {.kind = StepKind::put,
            .peer = peer,
            .source = part(peer),
            .target = slot(peer),
            .elidable = true};
  }
  /// wait, copy, signal.
  [[nodiscard]] Step take(std::uint64_t step) const {
    if (step == 0) return {.kind = StepKind::wait, .peer = root_, .target = slot(rank_)};
    if (step == 1) return {.kind = StepKind::reduce, .sources = 1, .destinations = 1};
    return {.kind = StepKind::signal, .peer = root_};
  }
  /// reduce; a put to each receiver.
  [[nodiscard]] Step publish(std::uint64_t step) const {
    if (step == 0) {
      return {.kind = StepKind::reduce, .sources = 1, .destinations = static_cast<int>(receivers_)};
    }
    return {.kind = StepKind::put,
            .peer = receiver(step - 1),
            .source = part(rank_),
            .target = part(rank_),
            .elidable = true};
  }

  /// The others on my host, but for the root, which has everything.
  [[nodiscard]] int receiver(std::uint64_t i) const {
    if (receivers_ == peers_) return host_.after(i);
    const int distance = placement_.local(root_) - placement_.local(rank_) - 1;
    const auto root = static_cast<std::uint64_t>(wrapped(distance, host_.ranks()));
    return host_.after(i < root ? i : i + 1);
  }

  [[nodiscard]] Slice part(int rank) const { return shares_.part(Buffer::output, rank); }
  /// Where the root's part for `rank` arrives, if it is not mapped.
  [[nodiscard]] Slice slot(int rank) const { return {Buffer::scratch, 0, part(rank).length}; }

  const Placement& placement_;
  Shares shares_;
  int rank_;
  int root_;
  OwnHost host_;
  bool with_root_;                                 ///< I am on the root's host
  std::uint64_t peers_;                            ///< on my host
  std::uint64_t receivers_;                        ///< those who get my part from me
  std::vector<std::unique_ptr<Schedule>> across_;  ///< of my shares; at least one
  Sections sections_;
};

}  // namespace

std::unique_ptr<Schedule> hierarchical_broadcast(const Shape& shape, int rank) {
  return std::make_unique<HierarchicalBroadcast>(shape, rank);
}

}  // namespace paceline::collectives
