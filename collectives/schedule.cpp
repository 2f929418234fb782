#include "collectives/schedule.h"

#include <algorithm>
#include <array>

#include "collectives/chunks.h"
#include "collectives/shares.h"
#include "collectives/topology.h"

namespace paceline::collectives {

ChunkBounds chunk_bounds(const Shape& shape, int chunk) {
  return Chunks(shape).at(chunk);
}

bool gives_results(const Schedule& schedule, std::uint64_t i) {
  const int destinations = schedule.step(i).destinations;
  for (int j = 0; j < destinations; ++j) {
    if (schedule.destination(i, j).slice.buffer == Buffer::output) return true;
  }
  return false;
}

std::optional<int> shared_block(Collective collective, const Shape& shape, int rank) {
  const Blocks blocks = blocks_of(collective, shape, rank);
  if (blocks.input == 0 || blocks.output == 0) return std::nullopt;
  if (collective == Collective::all_to_all) return std::nullopt;
  return blocks.input == blocks.output ? 0 : rank;
}

namespace {

/// The schedules, or how long their puts are.
using Make = std::unique_ptr<Schedule> (*)(const Shape&, int);
using Measure = Grain (*)(const Shape&);

struct Offer {
  Algorithm algorithm;
  Make make;
  Measure measure;
};

Grain whole_block(const Shape&) {
  return {};
}
Grain half_of_a_block(const Shape& shape) {
  return {.pieces = shape.size > 1 ? 2 : 1};
}
Grain a_chunk_per_rank(const Shape& shape) {
  return {.pieces = shape.size};
}
/// The guests' are whole blocks.
Grain halves_without_guests(const Shape& shape) {
  return Folding(shape.size).guests > 0 ? Grain{} : half_of_a_block(shape);
}
/// The root's largest child's. Bruck's all_gather puts as much: all that doubling has, or lacks.
Grain largest_subtree(const Shape& shape) {
  return {.blocks = std::max(1, BinomialTree{.size = shape.size}.largest_subtree())};
}
/// As many distances below `size` are odd; no other bit is set in more.
Grain half_of_the_blocks(const Shape& shape) {
  return {.blocks = std::max(1, shape.size / 2)};
}

/// Where ranks drive parts: as much as one of them drives at most on a host with others, or what
/// the algorithm across puts if there is no such host. That puts pieces of a share: those are
/// segments. Who drives several shares puts one of each at a time, perhaps all to one peer.
Grain parts_on_hosts(const Shape& shape, Collective collective, Algorithm across) {
  const Placement& placement = *shape.placement;
  const Grain of_share = grain_of(collective, across, {.size = placement.hosts()});
  if (placement.most_ranks() == 1) return of_share;
  const Shares shares(shape);
  int driven = 1;
  for (int host = 0; host < placement.hosts(); ++host) {
    if (placement.ranks_on(host) > 1) driven = std::max(driven, shares.most_driven(host));
  }
  return {.pieces = shares.number(),
          .blocks = driven,
          .segments = of_share.pieces * driven,
          .messages = placement.even()};
}
/// A driver gives the blocks of several hosts to each rank of its own.
Grain driven_blocks(const Shape&) {
  return {.messages = false};
}
Grain parts_reduced(const Shape& shape) {
  return parts_on_hosts(shape, Collective::all_reduce, all_reduce_across(shape.placement->hosts()));
}
Grain parts_broadcast(const Shape& shape) {
  return parts_on_hosts(shape, Collective::broadcast, broadcast_across(shape.placement->hosts()));
}

template <auto all_reduce>
std::unique_ptr<Schedule> barrier(const Shape& shape, int rank) {
  Shape nothing = shape;
  nothing.count = 0;
  return all_reduce(nothing, rank);
}

constexpr Offer kAllReduce[] = {
    {Algorithm::ring, ring_all_reduce, a_chunk_per_rank},
    {Algorithm::recursive_doubling, recursive_doubling_all_reduce, whole_block},
    {Algorithm::one_shot, one_shot_all_reduce, whole_block},
    {Algorithm::direct, direct_all_reduce, a_chunk_per_rank},
    {Algorithm::halving_doubling, halving_doubling_all_reduce, halves_without_guests},
    {Algorithm::tree, tree_all_reduce, half_of_a_block},
    {Algorithm::hierarchical, hierarchical_all_reduce, parts_reduced}};
constexpr Offer kBroadcast[] = {
    {Algorithm::binomial, binomial_broadcast, whole_block},
    {Algorithm::direct, direct_broadcast, whole_block},
    {Algorithm::tree, tree_broadcast, half_of_a_block},
    {Algorithm::scatter_all_gather, scatter_all_gather_broadcast, half_of_a_block},
    {Algorithm::hierarchical, hierarchical_broadcast, parts_broadcast}};
constexpr Offer kBarrier[] = {
    {Algorithm::recursive_doubling, barrier<recursive_doubling_all_reduce>, whole_block},
    {Algorithm::one_shot, barrier<one_shot_all_reduce>, whole_block}};
constexpr Offer kReduceScatter[] = {
    {Algorithm::ring, ring_reduce_scatter, whole_block},
    {Algorithm::direct, direct_reduce_scatter, whole_block},
    {Algorithm::hierarchical, hierarchical_reduce_scatter, driven_blocks}};
constexpr Offer kAllGather[] = {{Algorithm::ring, ring_all_gather, whole_block},
                                {Algorithm::direct, direct_all_gather, whole_block},
                                {Algorithm::bruck, bruck_all_gather, largest_subtree},
                                {Algorithm::hierarchical, hierarchical_all_gather, driven_blocks}};
constexpr Offer kAllToAll[] = {{Algorithm::direct, direct_all_to_all, whole_block},
                               {Algorithm::bruck, bruck_all_to_all, half_of_the_blocks}};
constexpr Offer kReduce[] = {{Algorithm::binomial, binomial_reduce, whole_block},
                             {Algorithm::direct, direct_reduce, a_chunk_per_rank},
                             {Algorithm::tree, tree_reduce, half_of_a_block}};
constexpr Offer kGather[] = {{Algorithm::binomial, binomial_gather, largest_subtree},
                             {Algorithm::direct, direct_gather, whole_block}};
constexpr Offer kScatter[] = {{Algorithm::binomial, binomial_scatter, largest_subtree},
                              {Algorithm::direct, direct_scatter, whole_block}};

/// The algorithms in a table of offers.
template <const auto& offers>
constexpr auto kAlgorithms = [] {
  std::array<Algorithm, std::size(offers)> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = offers[i].algorithm;
  return all;
}();

struct Table {
  std::span<const Offer> offers;
  std::span<const Algorithm> algorithms;
};
template <const auto& offers>
constexpr Table kTable = {offers, kAlgorithms<offers>};

Table table_of(Collective collective) {
  switch (collective) {
    case Collective::all_reduce:
      return kTable<kAllReduce>;
    case Collective::broadcast:
      return kTable<kBroadcast>;
    case Collective::barrier:
      return kTable<kBarrier>;
    case Collective::reduce_scatter:
      return kTable<kReduceScatter>;
    case Collective::all_gather:
      return kTable<kAllGather>;
    case Collective::all_to_all:
      return kTable<kAllToAll>;
    case Collective::reduce:
      return kTable<kReduce>;
    case Collective::gather:
      return kTable<kGather>;
    case Collective::scatter:
      return kTable<kScatter>;
  }
  return {};
}

const Offer* find_offer(Collective collective, Algorithm algorithm) {
  for (const Offer& offer : table_of(collective).offers) {
    if (offer.algorithm == algorithm) return &offer;
  }
  return nullptr;
}

/// For this shape: on one host, hierarchical is direct.
const Offer* find_offer(Collective collective, Algorithm algorithm, const Shape& shape) {
  const Offer* const offer = find_offer(collective, algorithm);
  const bool one_host = shape.placement == nullptr || shape.placement->hosts() == 1;
  if (offer == nullptr || algorithm != Algorithm::hierarchical || !one_host) return offer;
  return find_offer(collective, Algorithm::direct);
}

}  // namespace

std::span<const Algorithm> algorithms_of(Collective collective) {
  return table_of(collective).algorithms;
}

bool offers(Collective collective, Algorithm algorithm) {
  return find_offer(collective, algorithm) != nullptr;
}

Grain grain_of(Collective collective, Algorithm algorithm, const Shape& shape) {
  const Offer* offer = find_offer(collective, algorithm, shape);
  return offer == nullptr ? Grain{} : offer->measure(shape);
}

// One exchange of everything is less work than two of halves where each byte is copied on its way.
// Where none is, each loads and stores half.
std::optional<Algorithm> mapped_form(Collective collective, Algorithm algorithm, int size) {
  const bool one_exchange =
      size == 2 && collective == Collective::all_reduce && algorithm == Algorithm::one_shot;
  return one_exchange ? std::optional(Algorithm::direct) : std::nullopt;
}

std::unique_ptr<Schedule> make_schedule(Collective collective, Algorithm algorithm,
                                        const Shape& shape, int rank) {
  const Offer* offer = find_offer(collective, algorithm, shape);
  return offer == nullptr ? nullptr : offer->make(shape, rank);
}

}  // namespace paceline::collectives
