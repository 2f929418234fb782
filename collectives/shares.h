// Who works on what, where the ranks of each host divide the work among themselves.
//
// A block is cut into shares, as many as the host with the most ranks has. On each host the shares
// are dealt out in order to its ranks, who drive them: one each on the largest hosts; on a smaller
// one some ranks drive more, and all are busy. The drivers of a share, one on each host, are each
// other's counterparts. The shares that a rank drives lie side by side: they are its part.
#pragma once

#include <bit>
#include <cstdint>

#include "collectives/chunks.h"
#include "collectives/placement.h"
#include "collectives/schedule.h"

namespace paceline::collectives {

/// How the counterparts of that many hosts reduce a share among themselves. Both put 2(h-1)/h of
/// it, the least possible, and take as much scratch on each of their ranks; halving and doubling
/// take fewer steps, but would put more with any other number of hosts.
constexpr Algorithm all_reduce_across(int hosts) {
  return std::has_single_bit(static_cast<unsigned>(hosts)) ? Algorithm::halving_doubling
                                                           : Algorithm::ring;
}

/// How they broadcast one. The root of the binomial tree puts log2(h) times a share: up to four
/// hosts that is no more than by the other, and takes fewer steps.
constexpr Algorithm broadcast_across(int hosts) {
  return hosts <= 4 ? Algorithm::binomial : Algorithm::scatter_all_gather;
}

class Shares {
 public:
  /// Of a shape that has a placement.
  explicit Shares(const Shape& shape)
      : placement_(*shape.placement), chunks_(cut(shape, shape.placement->most_ranks())) {}

  [[nodiscard]] int number() const { return placement_.most_ranks(); }
  /// Shares [first, last) are driven by `rank`; at least one.
  [[nodiscard]] int first(int rank) const { return begin(rank, placement_.local(rank)); }
  [[nodiscard]] int last(int rank) const { return begin(rank, placement_.local(rank) + 1); }
  [[nodiscard]] int driver(int host, int share) const {
    const std::int64_t ranks = placement_.ranks_on(host);
    return placement_.rank_at(host, static_cast<int>(share * ranks / number()));
  }
  /// How many shares a rank of `host` drives at most.
  [[nodiscard]] int most_driven(int host) const {
    const int ranks = placement_.ranks_on(host);
    return (number() + ranks - 1) / ranks;
  }

  /// Of all shares but the last ones, which may be shorter or empty; a multiple of the alignment.
  [[nodiscard]] std::uint64_t length() const { return chunks_.length(); }
  [[nodiscard]] Slice share(Buffer buffer, int number) const {
    return chunks_.slice(buffer, number);
  }
  [[nodiscard]] Slice part(Buffer buffer, int rank) const {
    const std::uint64_t begin = chunks_.at(first(rank)).offset;
    const ChunkBounds end = chunks_.at(last(rank) - 1);
    return {buffer, begin, end.offset + end.length - begin};
  }

 private:
  static Shape cut(Shape shape, int shares) {
    shape.size = shares;
    return shape;
  }
  /// The lowest share that the rank `local` of that host drives, or one behind it: the first for
  /// which driver() gives no lower one.
  [[nodiscard]] int begin(int rank, int local) const {
    const std::int64_t ranks = placement_.ranks_on(placement_.host_of(rank));
    return static_cast<int>((local * std::int64_t{number()} + ranks - 1) / ranks);
  }

  const Placement& placement_;
  Chunks chunks_;
};

}  // namespace paceline::collectives
