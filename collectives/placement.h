// Which ranks are on which host: what all ranks know alike, for algorithms that treat ranks of one
// host differently from others. Hosts are numbered in the order of their lowest ranks, and the
// ranks of a host in the order of the ranks. Any placement will do: blocks, round robin, unequal
// hosts.
//
// Immutable; a shape refers to one, and the schedules that are made of it do so too.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace paceline::collectives {

class Placement {
 public:
  /// `host_of[rank]` is some number of that rank's host.
  explicit Placement(std::span<const int> host_of);

  [[nodiscard]] int size() const { return static_cast<int>(host_.size()); }
  [[nodiscard]] int hosts() const { return static_cast<int>(ranks_.size()); }
  [[nodiscard]] int ranks_on(int host) const {
    return static_cast<int>(ranks_[index(host)].size());
  }
  /// Whether all hosts have equally many ranks.
  [[nodiscard]] bool even() const { return most_ranks_ * hosts() == size(); }
  /// Of the host with the most ranks.
  [[nodiscard]] int most_ranks() const { return most_ranks_; }

  [[nodiscard]] int host_of(int rank) const { return host_[index(rank)]; }
  /// The number of a rank among those of its host.
  [[nodiscard]] int local(int rank) const { return local_[index(rank)]; }
  [[nodiscard]] int rank_at(int host, int local) const { return ranks_[index(host)][index(local)]; }

 private:
  static std::size_t index(int number) { return static_cast<std::size_t>(number); }

  std::vector<int> host_;                ///< by rank
  std::vector<int> local_;               ///< by rank
  std::vector<std::vector<int>> ranks_;  ///< by host
  int most_ranks_ = 0;
};

}  // namespace paceline::collectives
