// A rank among the ranks of its host: the inner half of the hierarchical algorithms.
#pragma once

#include <cstdint>

#include "collectives/placement.h"
#include "collectives/topology.h"

namespace paceline::collectives {

class OwnHost {
 public:
  OwnHost(const Placement& placement, int rank)
      : placement_(placement),
        number_(placement.host_of(rank)),
        local_(placement.local(rank)),
        ranks_(placement.ranks_on(number_)) {}

  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] int ranks() const { return ranks_; }
  [[nodiscard]] int rank(int local) const { return placement_.rank_at(number_, local); }

  /// The others.
  [[nodiscard]] std::uint64_t peers() const { return static_cast<std::uint64_t>(ranks_ - 1); }
  /// They begin with the one behind me, so that not all turn to the same one at a time...
  [[nodiscard]] int after(std::uint64_t i) const {
    return rank(wrapped(local_ + 1 + static_cast<int>(i), ranks_));
  }
  /// ...and this is the order in which they then turn to me.
  [[nodiscard]] int before(std::uint64_t i) const {
    return rank(wrapped(local_ - 1 - static_cast<int>(i), ranks_));
  }
  /// The number of `peer` among those that are others for `owner`.
  [[nodiscard]] std::uint64_t index(int owner, int peer) const {
    const int number = placement_.local(peer) - (peer < owner ? 0 : 1);
    return static_cast<std::uint64_t>(number);
  }

  /// The same of hosts.
  [[nodiscard]] std::uint64_t other_hosts() const {
    return static_cast<std::uint64_t>(placement_.hosts() - 1);
  }
  [[nodiscard]] int host_after(std::uint64_t i) const {
    return wrapped(number_ + 1 + static_cast<int>(i), placement_.hosts());
  }
  [[nodiscard]] int host_before(std::uint64_t i) const {
    return wrapped(number_ - 1 - static_cast<int>(i), placement_.hosts());
  }

 private:
  const Placement& placement_;
  int number_;
  int local_;
  int ranks_;
};

}  // namespace paceline::collectives
