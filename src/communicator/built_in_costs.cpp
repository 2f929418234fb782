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

/// Shared memory, between two ranks on two cores of a Xeon at 2.5 GHz, a virtual machine. With two
/// ranks nothing can be said of `post`: that is a store, a load and a cache line more.
constexpr LinkCost kShm = {
    .eager = 450, .alpha = 100, .post = 100, .beta = 0.085, .port = 0.085, .cpu = 1};

/// TCP over the loopback device, between the same two. A message more is a system call at either
/// end.
constexpr LinkCost kTcp = {
    .eager = 8'000, .alpha = 8'000, .post = 3'000, .beta = 0.6, .port = 0.6, .cpu = 1};

/// RDMA: what a card of 100 Gbit/s is said to do (2 us for a write and its notification, 12 GB/s),
/// since no such card was at hand.
constexpr LinkCost kVerbs = {
    .eager = 2'000, .alpha = 2'000, .post = 200, .beta = 0.085, .port = 0.085, .cpu = 0};

/// Measured with shared memory; of data that fits into a core's second cache.
constexpr double kMapped = 0.06;
constexpr double kGamma = 0.04;

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
