// Who on a host cares for which blocks, where every rank has a block of its own and the ranks of a
// host care for those of other hosts' ranks too: each rank has one driver on every other host. The
// ranks of a host divide another host's blocks among themselves in order, evenly: if both have
// equally many, a rank's driver has the same number on its host as the rank on its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "collectives/own_host.h"
#include "collectives/placement.h"

namespace paceline::collectives {

/// The driver on `host` of a rank of another host, or the rank itself on its own.
inline int driver_of(const Placement& placement, int rank, int host) {
  const std::int64_t ranks = placement.ranks_on(host);
  const std::int64_t theirs = placement.ranks_on(placement.host_of(rank));
  return placement.rank_at(host, static_cast<int>(placement.local(rank) * ranks / theirs));
}

/// What each rank of one host drives: blocks of the ranks of other hosts, beginning with the host
/// behind the own one, or before it.
class Driven {
 public:
  enum class Order : std::uint8_t { from_behind, from_before };

  Driven(const Placement& placement, const OwnHost& host, Order order) : placement_(placement) {
    blocks_.resize(static_cast<std::size_t>(host.ranks()));
    for (std::uint64_t i = 0; i < host.other_hosts(); ++i) {
      const int other = order == Order::from_behind ? host.host_after(i) : host.host_before(i);
      for (int local = 0; local < placement.ranks_on(other); ++local) {
        const int block = placement.rank_at(other, local);
        blocks_[of(driver_of(placement, block, host.number()))].push_back(block);
      }
    }
  }

  /// By a rank of this host.
  [[nodiscard]] std::span<const int> by(int rank) const { return blocks_[of(rank)]; }

 private:
  [[nodiscard]] std::size_t of(int rank) const {
    return static_cast<std::size_t>(placement_.local(rank));
  }

  const Placement& placement_;
  std::vector<std::vector<int>> blocks_;  ///< by the number of a rank on the host
};

}  // namespace paceline::collectives
