// The cost model's parameters where no tuning file gives better ones. They need only be good enough
// that the right algorithm wins: between the sizes at which one overtakes another, a factor of two
// in a parameter moves the border by as much, and costs little near it.
//
// docs/tuning.md says how these were measured, and how to measure those of another machine.
#include "communicator/tuning.h"

namespace paceline {

using collectives::CostParameters;
using collectives::LinkCost;

namespace {

/// Shared memory: two cores of a Xeon at 2.5 GHz, a virtual machine.
constexpr LinkCost kShm = {
    .eager = 500, .alpha = 500, .post = 150, .beta = 0.15, .port = 0.15, .cpu = 1};

/// TCP over the loopback device of the same machine.
constexpr LinkCost kTcp = {
    .eager = 15'000, .alpha = 15'000, .post = 4'000, .beta = 0.6, .port = 0.6, .cpu = 1};

/// RDMA: what a card of 100 Gbit/s is said to do (2 us for a write and its notification, 12 GB/s),
/// since no such card was at hand.
constexpr LinkCost kVerbs = {
    .eager = 2'000, .alpha = 2'000, .post = 200, .beta = 0.09, .port = 0.09};

constexpr double kMapped = 0.06;
constexpr double kGamma = 0.05;

}  // namespace

LinkCost built_in_link(WireNumber wire) {
  switch (wire) {
    case WireNumber::shm:
      return kShm;
    case WireNumber::verbs:
      return kVerbs;
    case WireNumber::tcp:
      return kTcp;
  }
  return kTcp;
}

// The ranks of a host share its card.
CostParameters built_in_parameters(WireNumber inside, WireNumber between) {
  return {.inside = built_in_link(inside),
          .between = built_in_link(between),
          .host = built_in_link(between).port,
          .mapped = kMapped,
          .gamma = kGamma};
}

}  // namespace paceline
