#include "collectives/cost.h"

#include <algorithm>
#include <limits>

#include "collectives/cost_course.h"
#include "collectives/schedule.h"

namespace paceline::collectives {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

/// Segments are cut no shorter: a cache line, as in the engine's Plan.
constexpr std::size_t kLeastSegment = 64;

template <Formula all_reduce>
Course barrier_course(const Wires& wires, double) {
  return all_reduce(wires, 0);
}

struct Entry {
  Collective collective;
  Algorithm algorithm;
  Formula formula;
};

/// One line for each that schedule.cpp offers (a test compares). An algorithm of two levels has its
/// formula here like any other: Wires knows both.
constexpr Entry kFormulas[] = {
    {Collective::all_reduce, Algorithm::ring, ring_all_reduce_course},
    {Collective::all_reduce, Algorithm::recursive_doubling, recursive_doubling_course},
    {Collective::all_reduce, Algorithm::one_shot, one_shot_course},
    {Collective::all_reduce, Algorithm::halving_doubling, halving_doubling_course},
    {Collective::all_reduce, Algorithm::tree, tree_all_reduce_course},
    {Collective::all_reduce, Algorithm::direct, direct_all_reduce_course},
    {Collective::all_reduce, Algorithm::hierarchical, hierarchical_all_reduce_course},
    {Collective::broadcast, Algorithm::binomial, binomial_broadcast_course},
    {Collective::broadcast, Algorithm::tree, tree_broadcast_course},
    {Collective::broadcast, Algorithm::scatter_all_gather, scatter_all_gather_course},
    {Collective::broadcast, Algorithm::direct, direct_broadcast_course},
    {Collective::broadcast, Algorithm::hierarchical, hierarchical_broadcast_course},
    {Collective::barrier, Algorithm::recursive_doubling, barrier_course<recursive_doubling_course>},
    {Collective::barrier, Algorithm::one_shot, barrier_course<one_shot_course>},
    {Collective::reduce_scatter, Algorithm::ring, ring_reduce_scatter_course},
    {Collective::reduce_scatter, Algorithm::direct, direct_reduce_scatter_course},
    {Collective::reduce_scatter, Algorithm::hierarchical, hierarchical_reduce_scatter_course},
    {Collective::all_gather, Algorithm::ring, ring_all_gather_course},
    {Collective::all_gather, Algorithm::bruck, bruck_all_gather_course},
    {Collective::all_gather, Algorithm::direct, direct_all_gather_course},
    {Collective::all_gather, Algorithm::hierarchical, hierarchical_all_gather_course},
    {Collective::all_to_all, Algorithm::bruck, bruck_all_to_all_course},
    {Collective::all_to_all, Algorithm::direct, direct_all_to_all_course},
    {Collective::reduce, Algorithm::binomial, binomial_reduce_course},
    {Collective::reduce, Algorithm::tree, tree_reduce_course},
    {Collective::reduce, Algorithm::direct, direct_reduce_course},
    {Collective::gather, Algorithm::binomial, binomial_gather_course},
    {Collective::gather, Algorithm::direct, direct_gather_course},
    {Collective::scatter, Algorithm::binomial, binomial_scatter_course},
    {Collective::scatter, Algorithm::direct, direct_scatter_course},
};

Formula formula_of(Collective collective, Algorithm algorithm) {
  for (const Entry& entry : kFormulas) {
    if (entry.collective == collective && entry.algorithm == algorithm) return entry.formula;
  }
  return nullptr;
}

/// What one instance covers of a block, at most: as the engine's Plan cuts, without its rounding.
double most_of_a_block(Collective collective, const Grain& grain, const Layout& layout,
                       std::size_t segment_bytes) {
  const Blocks blocks = paceline::blocks_of(collective, 0, layout.ranks, 0);
  const int parts = std::max({grain.pieces, blocks.input, blocks.output});
  const std::size_t segment =
      std::max(kLeastSegment, std::min(segment_bytes / static_cast<std::size_t>(grain.blocks),
                                       kMostOfAnInstance / static_cast<std::size_t>(parts)));
  return static_cast<double>(segment) * grain.pieces;
}

/// Two ranks that can map each other's memory take the steps of direct for one_shot where all of it
/// is mapped. Where it is not, one exchange of everything takes 0.6 to 0.9 of the time of two of
/// halves up to so many bytes, and more from there on (docs/performance.md): what the model does
/// not know is what a step costs besides its data, and where lines lie.
constexpr std::uint64_t kLongestExchange = 128 * 1024;
constexpr double kGain = 0.85;

bool one_exchange_applies(Collective collective, Algorithm algorithm, const Layout& layout,
                          std::uint64_t bytes, const Cut& cut) {
  return collective == Collective::all_reduce && algorithm == Algorithm::one_shot &&
         layout.ranks == 2 && layout.hosts == 1 && layout.mapped && bytes > cut.eager_bytes;
}

}  // namespace

// Instances are counted as a real number and are all as long as they may be, where the engine makes
// them equally long: so more bytes never take less time.
double predicted_ns(Collective collective, Algorithm algorithm, const Layout& layout,
                    std::uint64_t bytes, const Cut& cut, const CostParameters& parameters) {
  if (formula_of(collective, algorithm) == nullptr) return kNever;
  if (algorithm == Algorithm::hierarchical && layout.hosts == 1) algorithm = Algorithm::direct;
  const auto n = static_cast<double>(bytes);
  if (one_exchange_applies(collective, algorithm, layout, bytes, cut)) {
    const double mapped = predicted_ns(collective, Algorithm::direct, layout, bytes,
                                       {0, cut.segment_bytes, cut.lanes}, parameters);
    return mapped * (bytes <= kLongestExchange ? kGain : 1 / kGain);
  }
  if (layout.ranks == 1) return collective == Collective::barrier ? 0 : n * parameters.gamma;

  const Shape shape{.size = layout.ranks, .count = bytes};
  const Grain grain = grain_of(collective, algorithm, shape);
  const double most = most_of_a_block(collective, grain, layout, cut.segment_bytes);
  const double instances = std::max(1.0, n / most);
  const double longest = n / grain.pieces * grain.blocks;
  // Which of the hierarchical ones may is a matter of where the ranks are: none of them, then.
  const bool messages = algorithm != Algorithm::hierarchical;
  const bool eager = collective == Collective::barrier ||
                     (messages && n <= most &&
                      longest <= static_cast<double>(grain.longest_message(cut.eager_bytes,
                                                                           cut.eager_piece_bytes)));

  // Down from a root nobody waits for who runs later: ranks that share a core take one turn each.
  Layout at = layout;
  if (collective == Collective::broadcast || collective == Collective::scatter) {
    at.ranks_per_core = 1;
  }
  const Wires wires(at, parameters, eager);
  const Course course = formula_of(collective, algorithm)(wires, std::min(n, most));
  if (eager) return course.path;
  const double period = course.period > 0 ? course.period : course.path;
  const double lanes = std::min<double>(cut.lanes, instances);
  return wires.message(course.peers) + course.path +
         (instances - 1) * std::max(period / lanes, wires.busy(course));
}

}  // namespace paceline::collectives
