// Proves a set of schedules, one per rank, without running anything real.
//
// Every rank's contribution to every element is a random 64-bit tag; sums of tags stand for
// reductions, so a result is right exactly when it is the sum of all ranks' tags, or where nothing
// is reduced the tag of the one rank (a lost, doubled or misplaced contribution cannot hide but
// with probability 2^-64). Vector clocks over the waits decide whether a write and a read of one
// element, or two writes, are ordered; those that are not are races. A put is asynchronous: its
// source is read until the peer's matching wait (or a flush), its target is written until that
// wait. A state in which no rank can go on is a deadlock.
//
// All slices are cut at all their boundaries (verifier_slices.h), so the cost depends on the number
// of steps and not on `count`. What is ordered is decided in verifier_order.h, what a cell of
// memory remembers in verifier_memory.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "collectives/lowering.h"
#include "collectives/schedule.h"

namespace paceline::collectives {

struct VerifyOptions {
  Collective collective = Collective::all_reduce;
  bool in_place = false;
  /// Instances run one after the other in the same lane.
  int instances = 3;
  /// How many scratches the instances use in turn: a lane has two. See schedule.h.
  int scratches = 2;
  /// How edge (rank, peer) is lowered in an instance, seen from rank; empty: everything mapped.
  std::function<EdgeReach(int rank, int peer, int instance)> reach = {};
  /// Seed of the tags and of the order in which ranks take steps.
  std::uint64_t seed = 1;
};

struct Verdict {
  bool ok = true;
  /// The first violation: rank, step, slice, and what is wrong with it.
  std::string text = {};
};

/// `make(rank)` gives each rank's schedule.
Verdict verify(const Shape& shape, const std::function<std::unique_ptr<Schedule>(int)>& make,
               const VerifyOptions& options);

}  // namespace paceline::collectives
