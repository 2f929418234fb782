// Which algorithm a call takes. Every rank decides alike: only what rank 0 has handed out, the call
// and the hosts of all ranks count.
#include "communicator/core.h"

namespace paceline {

namespace {

/// Above this the all-pairs exchange of whole vectors costs more than the steps it saves (tcp and
/// RDMA; ranks on one host map each other's memory instead).
constexpr std::size_t kLargestDoubling = 32 * 1024;

/// From here on, cutting a broadcast into chunks that travel at once beats whole copies down a
/// tree.
constexpr std::size_t kSmallestScattered = 256 * 1024;

}  // namespace

Algorithm CommunicatorCore::choose_algorithm(Collective collective, std::size_t bytes) const {
  const Algorithm wished = config_.algorithm;
  if (wished != Algorithm::automatic && collectives::offers(collective, wished)) return wished;
  const bool mapped = links_->all_mapped();
  const auto ranks = static_cast<std::size_t>(config_.size);
  // Several hosts, one of them with several ranks: what a host sums up or takes in crosses the
  // wires once, instead of once for every rank that a ring leads through.
  const bool levels = roster_.hosts() > 1 && roster_.hosts() < config_.size;
  const Algorithm across_hosts = levels ? Algorithm::hierarchical : Algorithm::ring;
  // Half of all blocks is the most that the algorithms of few steps put at a time.
  const bool few_steps = bytes * (ranks / 2) <= config_.eager_bytes;
  switch (collective) {
    case Collective::barrier:
      return Algorithm::recursive_doubling;
    case Collective::all_reduce:
      if (bytes <= config_.eager_bytes) return Algorithm::recursive_doubling;
      if (mapped) return Algorithm::direct;
      return bytes <= kLargestDoubling ? Algorithm::recursive_doubling : across_hosts;
    case Collective::broadcast:
      if (mapped || ranks <= 2 || bytes < kSmallestScattered) return Algorithm::binomial;
      return levels ? Algorithm::hierarchical : Algorithm::scatter_all_gather;
    case Collective::reduce:
      return bytes <= config_.eager_bytes ? Algorithm::binomial : Algorithm::direct;
    case Collective::reduce_scatter:
      return mapped || bytes <= config_.eager_bytes ? Algorithm::direct : across_hosts;
    case Collective::all_gather:
      if (few_steps) return Algorithm::bruck;
      return mapped ? Algorithm::direct : across_hosts;
    case Collective::all_to_all:
      return few_steps ? Algorithm::bruck : Algorithm::direct;
    case Collective::gather:
    case Collective::scatter:
      return few_steps ? Algorithm::binomial : Algorithm::direct;
  }
  return Algorithm::direct;
}

}  // namespace paceline
