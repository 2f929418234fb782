// What the formulas are written with: stages over links of two levels, and the course that an
// instance takes. Internal to the cost model.
#pragma once

#include <algorithm>
#include <bit>

#include "collectives/cost.h"

namespace paceline::collectives {

/// One instance of a schedule. Times in nanoseconds, amounts in bytes.
struct Course {
  /// From the first step to the last one of the last rank.
  double path = 0;
  /// How soon after an instance a lane can do the next one; 0: as long as the path.
  double period = 0;
  // What the busiest link, port, processor, and host have to do.
  double link = 0;
  double port = 0;
  double read = 0;    ///< by reductions and copies of one rank
  double mapped = 0;  ///< loaded from, or stored into, mapped memory by one rank
  double posts = 0;   ///< messages that one rank sends and takes
  double host = 0;    ///< in or out of one host
  /// With how many others a rank exchanges data at most.
  double peers = 1;
};

/// The ranks and their links, for an operation that runs eagerly or not.
class Wires {
 public:
  Wires(const Layout& layout, const CostParameters& parameters, bool eager)
      : ranks(layout.ranks),
        local((layout.ranks + layout.hosts - 1) / layout.hosts),
        hosts(layout.hosts),
        // A message carries its data whatever could be mapped.
        mapped(layout.mapped && !eager),
        ranks_per_core_(layout.ranks_per_core),
        parameters_(parameters),
        eager_(eager) {}

  int ranks;
  int local;  ///< on one host, at most
  int hosts;
  bool mapped;

  /// ceil(log2(ranks)): the rounds of Bruck's algorithms, the children of a binomial tree's root,
  /// the depth of a binary tree.
  [[nodiscard]] int rounds() const { return std::bit_width(static_cast<unsigned>(ranks - 1)); }
  /// floor(log2(ranks)): the most bits that a number below `ranks` has set, so the depth of a
  /// binomial tree.
  [[nodiscard]] int depth() const { return std::bit_width(static_cast<unsigned>(ranks)) - 1; }

  /// A rank puts `bytes` to each of `peers` ranks on its host, or takes as much from each.
  [[nodiscard]] double near(double peers, double bytes) const {
    const LinkCost& link = parameters_.inside;
    return start(link, peers) +
           ranks_per_core_ * std::max(bytes * link.beta, peers * bytes * link.port);
  }
  /// The same with ranks of other hosts, while `flows` ranks of its own do so.
  [[nodiscard]] double far(double peers, double bytes, double flows) const {
    const LinkCost& link = parameters_.between;
    return start(link, peers) + std::max({bytes * link.beta, peers * bytes * link.port,
                                          flows * peers * bytes * parameters_.host});
  }

  /// Every rank puts to its neighbour: over one link between each two hosts.
  [[nodiscard]] double neighbour(double bytes) const {
    const double slow = hosts > 1 ? far(1, bytes, 1) : 0;
    return local > 1 ? std::max(slow, near(1, bytes)) : slow;
  }
  /// Ranks whose numbers differ by `distance` exchange, all of them or (`flows` = 1) one of a host.
  [[nodiscard]] double across(int distance, double peers, double bytes, double flows) const {
    return crosses(distance) ? far(peers, bytes, flows) : near(peers, bytes);
  }
  /// Whether pairs at this distance are on two hosts: blocks of ranks that begin at multiples of
  /// twice the distance do not fit into those of a host.
  [[nodiscard]] bool crosses(int distance) const {
    return hosts > 1 && (local < 2 * distance || local % (2 * distance) != 0);
  }
  /// Everybody puts to everybody else; `flows` = 1: one rank puts to, or takes from, all others.
  /// What is mapped on a host does not travel there.
  [[nodiscard]] double all_others(double bytes, double flows) const {
    const double here = local > 1 ? near(local - 1, mapped ? 0 : bytes) : 0;
    return hosts > 1 ? std::max(here, far(ranks - local, bytes, flows)) : here;
  }
  /// The same for puts that cannot be spared by mapping.
  [[nodiscard]] double all_others_unmapped(double bytes, double flows) const {
    const double here = local > 1 ? near(local - 1, bytes) : 0;
    return hosts > 1 ? std::max(here, far(ranks - local, bytes, flows)) : here;
  }
  /// What it adds that messages of `peers` ranks, which come at once, are taken one by one.
  [[nodiscard]] double taking(double peers) const {
    if (ranks_per_core_ > 1) return 0;  // start() has it
    return (peers - 1) * (hosts > 1 ? parameters_.between : parameters_.inside).post;
  }
  /// A signal to each of `peers` ranks, the farthest.
  [[nodiscard]] double signal(double peers = 1) const {
    return hosts > 1 ? far(peers, 0, 1) : near(peers, 0);
  }
  /// A message to each of `peers` ranks.
  [[nodiscard]] double message(double peers) const {
    const LinkCost& link = hosts > 1 ? parameters_.between : parameters_.inside;
    return start(link.eager, link, peers);
  }

  /// Combines `operands` slices of `bytes` of its own, or copies one.
  [[nodiscard]] double combine(double operands, double bytes) const {
    return ranks_per_core_ * operands * bytes * parameters_.gamma;
  }
  /// Loads from, and stores into, mapped memory: bytes of both together.
  [[nodiscard]] double touch(double bytes) const { return bytes * parameters_.mapped; }

  /// What the busiest part has to do for an instance.
  [[nodiscard]] double busy(const Course& course) const {
    const LinkCost& link = hosts > 1 ? parameters_.between : parameters_.inside;
    const double work = course.posts * link.post + combine(1, course.read) + touch(course.mapped) +
                        course.port * link.port * link.cpu;
    const double far = hosts > 1 ? course.host * parameters_.host : 0;
    return std::max({course.link * link.beta, course.port * link.port, work, far});
  }

 private:
  // Ranks that share a core take turns in every stage: each is switched to, and then sends to, and
  // takes from, all its peers. (What they copy and combine takes as many times as long, too.)
  [[nodiscard]] double start(const LinkCost& link, double peers) const {
    return start(eager_ ? link.eager : link.alpha, link, peers);
  }
  [[nodiscard]] double start(double first, const LinkCost& link, double peers) const {
    const double flight = first + (peers - 1) * link.post;
    if (ranks_per_core_ == 1) return flight;
    return std::max(flight, ranks_per_core_ * (kSwitchNs + 2 * peers * link.post));
  }

  int ranks_per_core_;
  const CostParameters& parameters_;
  bool eager_;
};

/// What a link of the two trees carries: half a block, but for two ranks, between which both lie.
inline double tree_link(const Wires& wires, double n) {
  return wires.ranks == 2 ? n : n / 2;
}

/// One way along both trees (P. Sanders, J. Speck and J. L. Träff, "Two-tree algorithms for full
/// bandwidth broadcast, reduction and scan", 2009): log2(p) stages of half the data. A rank has two
/// children in one tree and none in the other, so that it exchanges n bytes each way.
inline double along_two_trees(const Wires& wires, double n) {
  double path = 0;
  for (int height = 0; height < wires.rounds(); ++height) {
    // Two or three ranks have no node with two children.
    path += wires.across(1 << height, wires.ranks > 3 ? 2 : 1, tree_link(wires, n), 1);
  }
  return path;
}

/// n: bytes of a block in the instance.
using Formula = Course (*)(const Wires& wires, double n);

// cost_reducing.cpp
Course ring_all_reduce_course(const Wires& wires, double n);
Course recursive_doubling_course(const Wires& wires, double n);
Course one_shot_course(const Wires& wires, double n);
Course halving_doubling_course(const Wires& wires, double n);
Course tree_all_reduce_course(const Wires& wires, double n);
Course direct_all_reduce_course(const Wires& wires, double n);
Course ring_reduce_scatter_course(const Wires& wires, double n);
Course direct_reduce_scatter_course(const Wires& wires, double n);
Course binomial_reduce_course(const Wires& wires, double n);
Course tree_reduce_course(const Wires& wires, double n);
Course direct_reduce_course(const Wires& wires, double n);

// cost_moving.cpp
Course binomial_broadcast_course(const Wires& wires, double n);
Course tree_broadcast_course(const Wires& wires, double n);
Course scatter_all_gather_course(const Wires& wires, double n);
Course direct_broadcast_course(const Wires& wires, double n);
Course ring_all_gather_course(const Wires& wires, double n);
Course bruck_all_gather_course(const Wires& wires, double n);
Course direct_all_gather_course(const Wires& wires, double n);
Course bruck_all_to_all_course(const Wires& wires, double n);
Course direct_all_to_all_course(const Wires& wires, double n);
Course binomial_gather_course(const Wires& wires, double n);
Course direct_gather_course(const Wires& wires, double n);
Course binomial_scatter_course(const Wires& wires, double n);
Course direct_scatter_course(const Wires& wires, double n);

// cost_hierarchical.cpp
Course hierarchical_all_reduce_course(const Wires& wires, double n);
Course hierarchical_reduce_scatter_course(const Wires& wires, double n);
Course hierarchical_all_gather_course(const Wires& wires, double n);
Course hierarchical_broadcast_course(const Wires& wires, double n);

}  // namespace paceline::collectives
