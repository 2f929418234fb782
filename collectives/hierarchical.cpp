// Hierarchical all_reduce: the ranks of a host reduce among themselves, as in direct.cpp; then each
// of them takes its share to its counterparts on the other hosts (shares.h), and gives the result
// to the ranks of its host. Over the wires goes what one rank per host would send, 2n(h-1)/h for h
// hosts, but all ranks drive a part of it.
//
//   expose   part q of the input goes to rank q, for every other q on the host
//   combine  my part of everybody's input on the host, in the order of the ranks: the partial sum
//   across   an all_reduce of each of my shares among its drivers, one on each host. Its input is
//            the partial sum, its output the output
//   publish  my part of the output goes to every other rank on the host
//   collect  theirs come in
//
// Exposed parts are read in place where memory is mapped, and else arrive in a slot of scratch per
// peer. A rank that is alone on its host takes its input for the partial sum. Without a placement
// all ranks are on one host, and there is nothing to do across: that is direct.cpp itself.
//
// Across. all_reduce_across() says by which algorithm; rank h of the embedded schedules is the
// driver on host h. Who drives several shares (on a host with fewer ranks than others) takes their
// schedules in step: step k of each, then k + 1. That cannot deadlock. Take a rank's steps k of all
// its shares for one: then each wait leads, inside of one share, along an order that the single
// schedule has anyway, and those taken for one are in the order of the shares on every rank.
//
// An element has one order of summation: that of the ranks within each host, then that of the
// schedule across. One rank finishes it there, and all ranks get its bits.
//
// Why no flush and no credit is needed. Each thing that is written over must have been read:
//  - Slots for exposed parts are written by q in a later instance, after I published this one to q,
//    by when I had read them.
//  - The partial sum is written over in a later instance. It is the source of puts across whose
//    receipt I know in the end: of the first one in a ring, because what comes in last has been
//    around; of the first one when halving, because the partner of that round answers.
//  - Slots across and the shadow of my own part: as in ring.cpp and halving_doubling.cpp.
//  - In place. Part q of my input is written over by rank q, which has reduced it or waited for it.
//    My own is written over with results to which I have contributed it; alone on the host, as in
//    ring.cpp and halving_doubling.cpp.
//  - The shadow of part q is written by q after I exposed the next instance's part to it, and
//    before that I copied this one's.
#include <vector>

#include "collectives/embedded.h"
#include "collectives/own_host.h"
#include "collectives/schedule.h"
#include "collectives/sections.h"
#include "collectives/shares.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

class Hierarchical final : public Schedule {
 public:
  Hierarchical(const Shape& shape, int rank)
      : placement_(*shape.placement),
        shares_(shape),
        rank_(rank),
        host_(placement_, rank),
        peers_(host_.peers()) {
    Shape across = shape;
    across.placement = nullptr;
    across.size = placement_.hosts();
    // The same for all shares and hosts, so that everybody knows where everybody's slots are.
    across.count = shares_.length();
    room_across_ = slot_stride(shape, schedule_across(across)->scratch());
    for (int share = shares_.first(rank); share < shares_.last(rank); ++share) {
      across.count = shares_.share(Buffer::input, share).length;
      across_.push_back(schedule_across(across));
    }
    const bool alone = peers_ == 0;
    for (const std::uint64_t steps : {peers_, alone ? 0 : peers_ + 1,
                                      across_.size() * across_.front()->steps(), peers_, peers_}) {
      sections_.add(steps);
    }
  }

  [[nodiscard]] std::uint64_t steps() const override { return sections_.steps(); }

  [[nodiscard]] Step step(std::uint64_t i) const override {
    const Place at = find(i);
    switch (at.section) {
      case Section::expose:
        return expose(host_.after(at.step));
      case Section::combine: {
        if (at.step == peers_) {
          return {.kind = StepKind::reduce, .sources = host_.ranks(), .destinations = 1};
        }
        const int peer = host_.before(at.step);
        return {.kind = StepKind::wait, .peer = peer, .target = slot(rank_, peer)};
      }
      case Section::across: {
        const Share share = share_at(at);
        return renamed(share.schedule.step(share.step), host_.number(), share.names);
      }
      case Section::publish: {
        const Slice result = shares_.part(Buffer::output, rank_);
        return {.kind = StepKind::put,
                .peer = host_.after(at.step),
                .source = result,
                .target = result};
      }
      case Section::collect: {
        const int peer = host_.before(at.step);
        return {.kind = StepKind::wait, .peer = peer, .target = shares_.part(Buffer::output, peer)};
      }
    }
    return {};
  }

  [[nodiscard]] Operand source(std::uint64_t i, int j) const override {
    const Place at = find(i);
    if (at.section == Section::across) {
      const Share share = share_at(at);
      return renamed(share.schedule.source(share.step, j), host_.number(), share.names);
    }
    const int owner = host_.rank(j);
    const Slice part = shares_.part(Buffer::input, rank_);
    if (owner == rank_) return {owner, part, {}};
    return {owner, part, slot(rank_, owner)};
  }

  [[nodiscard]] Operand destination(std::uint64_t i, int j) const override {
    const Place at = find(i);
    if (at.section == Section::across) {
      const Share share = share_at(at);
      return renamed(share.schedule.destination(share.step, j), host_.number(), share.names);
    }
    const std::uint64_t length = shares_.part(Buffer::input, rank_).length;
    return {rank_, {Buffer::scratch, partial_begin(host_.number()), length}, {}};
  }

  [[nodiscard]] std::uint64_t scratch() const override {
    return slots_begin(host_.number()) + across_.size() * room_across_;
  }

 private:
  /// In this order.
  enum class Section : std::uint8_t { expose, combine, across, publish, collect };
  struct Place {
    Section section;
    std::uint64_t step;
  };
  [[nodiscard]] Place find(std::uint64_t i) const {
    const Sections::At at = sections_.find(i);
    return {static_cast<Section>(at.section), at.step};
  }

  /// What the schedule across calls its input is a share of the partial sum, and so on.
  class NamesOfShare final : public Names {
   public:
    NamesOfShare(const Hierarchical& whole, int share) : whole_(whole), share_(share) {}

    [[nodiscard]] int rank(int host) const override { return whole_.shares_.driver(host, share_); }

    [[nodiscard]] Slice slice(int host, const Slice& slice) const override {
      const Shares& shares = whole_.shares_;
      const int driver = rank(host);
      const std::uint64_t begin = shares.share(slice.buffer, share_).offset;
      if (slice.buffer == Buffer::scratch) {
        const auto number = static_cast<std::uint64_t>(share_ - shares.first(driver));
        return moved(slice, whole_.slots_begin(host) + number * whole_.room_across_);
      }
      if (slice.buffer == Buffer::output || whole_.placement_.ranks_on(host) == 1) {
        return {slice.buffer, begin + slice.offset, slice.length};
      }
      const std::uint64_t in_part = begin - shares.part(Buffer::input, driver).offset;
      return moved(slice, whole_.partial_begin(host) + in_part);
    }

   private:
    static Slice moved(const Slice& slice, std::uint64_t to) {
      return {Buffer::scratch, to + slice.offset, slice.length};
    }

    const Hierarchical& whole_;
    int share_;
  };

  [[nodiscard]] std::unique_ptr<Schedule> schedule_across(const Shape& shape) const {
    return make_schedule(Collective::all_reduce, all_reduce_across(shape.size), shape,
                         host_.number());
  }
  /// A step of the embedded schedules, which are taken in step.
  struct Share {
    const Schedule& schedule;
    NamesOfShare names;
    std::uint64_t step;
  };
  [[nodiscard]] Share share_at(const Place& at) const {
    const std::uint64_t number = at.step % across_.size();
    return {*across_[number], NamesOfShare(*this, shares_.first(rank_) + static_cast<int>(number)),
            at.step / across_.size()};
  }

  [[nodiscard]] Step expose(int peer) const {
    return {.kind = StepKind::put,
            .peer = peer,
            .source = shares_.part(Buffer::input, peer),
            .target = slot(peer, rank_),
            .elidable = true};
  }

  // The scratch of a host's ranks: a slot for each peer on the host, the partial sum, then what the
  // schedules across need. Nothing but the last where a rank is alone.

  [[nodiscard]] std::uint64_t room_of_part(int host) const {
    return static_cast<std::uint64_t>(shares_.most_driven(host)) * shares_.length();
  }
  /// Where `owner` receives what `peer`, on the same host, exposes to it.
  [[nodiscard]] Slice slot(int owner, int peer) const {
    return {Buffer::scratch, host_.index(owner, peer) * room_of_part(host_.number()),
            shares_.part(Buffer::input, owner).length};
  }
  [[nodiscard]] std::uint64_t partial_begin(int host) const {
    return static_cast<std::uint64_t>(placement_.ranks_on(host) - 1) * room_of_part(host);
  }
  [[nodiscard]] std::uint64_t slots_begin(int host) const {
    return placement_.ranks_on(host) == 1 ? 0 : partial_begin(host) + room_of_part(host);
  }

  const Placement& placement_;
  Shares shares_;
  int rank_;
  OwnHost host_;
  std::uint64_t peers_;                            ///< on my host
  std::uint64_t room_across_;                      ///< scratch for one share's schedule
  std::vector<std::unique_ptr<Schedule>> across_;  ///< of my shares; at least one
  Sections sections_;
};

}  // namespace

std::unique_ptr<Schedule> hierarchical_all_reduce(const Shape& shape, int rank) {
  return std::make_unique<Hierarchical>(shape, rank);
}

}  // namespace paceline::collectives
