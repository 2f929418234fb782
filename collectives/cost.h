// How long a collective will take by each algorithm: the cost model that chooses.
//
// The model is Hockney's (R. Hockney, "The communication challenge for MPP", 1994): a message of n
// bytes takes alpha + n * beta. What a rank does for several peers at once costs it something for
// each message (the overhead of LogP; Culler et al., 1993) and for each byte that goes through the
// one port that all its links share. Combining n bytes takes n * gamma, as in R. Thakur, R.
// Rabenseifner and W. Gropp, "Optimization of Collective Communication Operations in MPICH" (2005),
// from which the formulas of ring, recursive doubling, halving and doubling, binomial trees and
// Bruck's algorithms are taken. The others are derived where they stand (cost_reducing.cpp,
// cost_moving.cpp, cost_hierarchical.cpp). All are closed: a handful of operations, and one for
// each round where rounds differ, so 16,384 ranks cost no more than 16.
//
// There are two levels: links inside a host and links between hosts. Ranks are taken to be spread
// evenly, neighbours side by side.
//
// An operation that is cut into instances (schedule.h) is a pipeline: the first instance takes its
// `path`, and each further one adds what the busiest part has to do for it, or, if the lanes are
// too few to keep that busy, a share of the time after which a lane can begin its next one.
//
// Pure arithmetic of doubles, without the functions of libm, whose last bits differ from one
// version to another: every rank works out the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "paceline/types.h"

namespace paceline::collectives {

/// One level of links. Nanoseconds, and nanoseconds per byte.
struct LinkCost {
  /// Until a message that fits into an eager one is there: what both ends do for it, and the way.
  double eager = 0;
  /// Until a put or a signal is there.
  double alpha = 0;
  /// For each message more that a rank sends or takes in the meantime.
  double post = 0;
  /// Over one link, in one direction.
  double beta = 0;
  /// Into, or out of, one rank over all its links of this level; 0: they do not share anything.
  double port = 0;
  /// The share of `port` that a rank's processor is busy with, so that it cannot combine meanwhile:
  /// 1 where it copies the bytes itself, 0 where a card does.
  double cpu = 0;
};

/// What a machine is like. Nanoseconds per byte.
struct CostParameters {
  LinkCost inside = {};   ///< a host
  LinkCost between = {};  ///< hosts
  /// Into, or out of, one host, for all its ranks together.
  double host = 0;
  /// That a rank loads from, or stores into, memory of a peer that it has mapped.
  double mapped = 0;
  /// That a reduction or a copy reads.
  double gamma = 0;
};

/// Where the ranks are.
struct Layout {
  int ranks = 1;
  int hosts = 1;
  /// Ranks of one host can map each other's memory.
  bool mapped = false;
  /// More than 1 where ranks share cores: who waits then hands its core on.
  int ranks_per_core = 1;
};

/// What it takes to hand a core on: a switch between two processes by sched_yield, 1.3 us on a Xeon
/// at 2.5 GHz and 2.3 on an EPYC of Zen 3, both in a virtual machine.
inline constexpr double kSwitchNs = 2'000;

/// How operations are cut, as in the engine's PlanOptions.
struct Cut {
  std::size_t eager_bytes = 4096;
  std::size_t segment_bytes = 128 * 1024;
  int lanes = 2;
  std::size_t eager_piece_bytes = std::numeric_limits<std::size_t>::max();
};

/// What an instance covers at most, over all chunks or blocks. The same as the engine's
/// kMaxInstanceBytes (a static_assert in the communicator compares).
inline constexpr std::size_t kMostOfAnInstance = 8 * 1024 * 1024;

/// How long a call with blocks of `bytes` takes from the first rank's start to the last one's end,
/// if all start at the same time. Infinite if the algorithm does not offer the collective.
double predicted_ns(Collective collective, Algorithm algorithm, const Layout& layout,
                    std::uint64_t bytes, const Cut& cut, const CostParameters& parameters);

}  // namespace paceline::collectives
