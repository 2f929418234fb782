// Time per call, across iterations and across ranks.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "paceline/types.h"

namespace paceline::bench {

/// The smallest value that at least `share` (0 < share <= 1) of the values do not exceed; 0 if
/// there are none.
inline double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const double rank = std::ceil(share * static_cast<double>(values.size()));
  const auto index = static_cast<std::size_t>(std::max(rank, 1.0)) - 1;
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(std::min(index, values.size() - 1));
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

/// Which rank's time is reported; the numbers are nccl-tests'.
enum class Across : int { rank0 = 0, average = 1, min = 2, max = 3 };

/// GB/s, with GB = 1e9 bytes; 0 if no time went by.
inline double gigabytes_per_second(double bytes, double microseconds) {
  return microseconds > 0 ? bytes / microseconds * 1e-3 : 0;
}

/// What the busiest wire of a rank must carry at least, as a multiple of the message: comparable
/// between numbers of ranks and with the wire's own speed. As nccl-tests defines it (its
/// doc/PERFORMANCE.md): in an all_reduce each of the n ranks sends (n-1)/n of the message twice;
/// where a buffer holds a block for each rank, the own one of n does not travel.
inline double bus_factor(Collective collective, int ranks) {
  if (ranks <= 1) return 0.0;
  const double others = static_cast<double>(ranks - 1) / ranks;
  switch (collective) {
    case Collective::all_reduce:
      return 2.0 * others;
    case Collective::broadcast:
    case Collective::reduce:
    case Collective::barrier:
      return 1.0;
    case Collective::reduce_scatter:
    case Collective::all_gather:
    case Collective::all_to_all:
    case Collective::gather:
    case Collective::scatter:
      return others;
  }
  return 0.0;
}

/// How many calls to time, so that they take about `goal` microseconds in all.
inline std::size_t iterations_for(double goal, double microseconds_per_call) {
  constexpr double kFewest = 5;      // below, a single hiccup decides the mean
  constexpr double kMost = 100'000;  // above, nothing changes any more
  if (!(microseconds_per_call > 0)) return static_cast<std::size_t>(kMost);
  return static_cast<std::size_t>(
      std::clamp(std::ceil(goal / microseconds_per_call), kFewest, kMost));
}

}  // namespace paceline::bench
