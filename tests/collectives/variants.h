// What the verifier is run over: algorithms, and ways in which memory can be reached.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/placement.h"
#include "collectives/schedule.h"
#include "collectives/verifier.h"

namespace paceline::collectives {

struct Case {
  Collective collective;
  Algorithm algorithm;
  std::string_view name;
};

inline constexpr Case kRing = {Collective::all_reduce, Algorithm::ring, "ring"};
inline constexpr Case kDoubling = {Collective::all_reduce, Algorithm::recursive_doubling,
                                   "recursive_doubling"};
inline constexpr Case kOneShot = {Collective::all_reduce, Algorithm::one_shot, "one_shot"};
inline constexpr Case kDirect = {Collective::all_reduce, Algorithm::direct, "direct"};
inline constexpr Case kHalving = {Collective::all_reduce, Algorithm::halving_doubling,
                                  "halving_doubling"};
inline constexpr Case kHierarchical = {Collective::all_reduce, Algorithm::hierarchical,
                                       "hierarchical"};
inline constexpr Case kHierarchicalReduceScatter = {
    Collective::reduce_scatter, Algorithm::hierarchical, "hierarchical reduce_scatter"};
inline constexpr Case kHierarchicalAllGather = {Collective::all_gather, Algorithm::hierarchical,
                                                "hierarchical all_gather"};
inline constexpr Case kHierarchicalBroadcast = {Collective::broadcast, Algorithm::hierarchical,
                                                "hierarchical broadcast"};
inline constexpr Case kTree = {Collective::all_reduce, Algorithm::tree, "tree"};
inline constexpr Case kBinomial = {Collective::broadcast, Algorithm::binomial, "binomial"};
inline constexpr Case kDirectBroadcast = {Collective::broadcast, Algorithm::direct,
                                          "direct broadcast"};
inline constexpr Case kTreeBroadcast = {Collective::broadcast, Algorithm::tree, "tree broadcast"};
inline constexpr Case kScatterAllGather = {Collective::broadcast, Algorithm::scatter_all_gather,
                                           "scatter_all_gather"};
inline constexpr Case kBarrier = {Collective::barrier, Algorithm::recursive_doubling, "barrier"};
inline constexpr Case kOneShotBarrier = {Collective::barrier, Algorithm::one_shot,
                                         "one_shot barrier"};
inline constexpr Case kRingReduceScatter = {Collective::reduce_scatter, Algorithm::ring,
                                            "ring reduce_scatter"};
inline constexpr Case kDirectReduceScatter = {Collective::reduce_scatter, Algorithm::direct,
                                              "direct reduce_scatter"};
inline constexpr Case kRingAllGather = {Collective::all_gather, Algorithm::ring, "ring all_gather"};
inline constexpr Case kDirectAllGather = {Collective::all_gather, Algorithm::direct,
                                          "direct all_gather"};
inline constexpr Case kBruckAllGather = {Collective::all_gather, Algorithm::bruck,
                                         "bruck all_gather"};
inline constexpr Case kDirectAllToAll = {Collective::all_to_all, Algorithm::direct,
                                         "direct all_to_all"};
inline constexpr Case kBruckAllToAll = {Collective::all_to_all, Algorithm::bruck,
                                        "bruck all_to_all"};
inline constexpr Case kBinomialReduce = {Collective::reduce, Algorithm::binomial,
                                         "binomial reduce"};
inline constexpr Case kDirectReduce = {Collective::reduce, Algorithm::direct, "direct reduce"};
inline constexpr Case kTreeReduce = {Collective::reduce, Algorithm::tree, "tree reduce"};
inline constexpr Case kBinomialGather = {Collective::gather, Algorithm::binomial,
                                         "binomial gather"};
inline constexpr Case kDirectGather = {Collective::gather, Algorithm::direct, "direct gather"};
inline constexpr Case kBinomialScatter = {Collective::scatter, Algorithm::binomial,
                                          "binomial scatter"};
inline constexpr Case kDirectScatter = {Collective::scatter, Algorithm::direct, "direct scatter"};
/// Everything that make_schedule offers (a test compares).
inline constexpr Case kCases[] = {kRing,
                                  kDoubling,
                                  kOneShot,
                                  kDirect,
                                  kHalving,
                                  kTree,
                                  kHierarchical,
                                  kHierarchicalReduceScatter,
                                  kHierarchicalAllGather,
                                  kHierarchicalBroadcast,
                                  kBinomial,
                                  kDirectBroadcast,
                                  kTreeBroadcast,
                                  kScatterAllGather,
                                  kBarrier,
                                  kOneShotBarrier,
                                  kRingReduceScatter,
                                  kDirectReduceScatter,
                                  kRingAllGather,
                                  kDirectAllGather,
                                  kBruckAllGather,
                                  kDirectAllToAll,
                                  kBruckAllToAll,
                                  kBinomialReduce,
                                  kDirectReduce,
                                  kTreeReduce,
                                  kBinomialGather,
                                  kDirectGather,
                                  kBinomialScatter,
                                  kDirectScatter};

/// Whether there are input and output that can be one memory, and are not anyway.
inline bool can_be_in_place(Collective collective) {
  return collective != Collective::all_to_all && collective != Collective::broadcast &&
         collective != Collective::barrier;
}

/// The placement of `size` ranks of which `host_of(rank)` says the host; kept for ever, since
/// shapes only refer to it.
inline const Placement* placed(int size, const std::function<int(int rank)>& host_of) {
  static std::map<std::vector<int>, Placement> all;
  std::vector<int> hosts;
  for (int rank = 0; rank < size; ++rank) hosts.push_back(host_of(rank));
  return &all.try_emplace(hosts, hosts).first->second;
}
/// `ranks` on each host but the last, which may have fewer; or dealt out in turn to `hosts`.
inline const Placement* in_blocks(int size, int ranks) {
  return placed(size, [&](int rank) { return rank / ranks; });
}
inline const Placement* in_turn(int size, int hosts) {
  return placed(size, [&](int rank) { return rank % hosts; });
}

/// Two ranks on each host, and one on the last of an odd number, for algorithms that ask; and
/// nothing for the others.
inline Shape on_hosts(const Case& what, Shape shape) {
  if (what.algorithm == Algorithm::hierarchical && shape.placement == nullptr) {
    shape.placement = in_blocks(shape.size, 2);
  }
  return shape;
}
inline std::unique_ptr<Schedule> schedule_of(const Case& what, const Shape& shape, int rank) {
  return make_schedule(what.collective, what.algorithm, on_hosts(what, shape), rank);
}

/// splitmix64, for choices that depend on their arguments only.
inline std::uint64_t hashed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
  x = (x ^ x >> 27) * 0x94d049bb133111ebU;
  return x ^ x >> 31;
}

enum class Wiring : std::uint8_t {
  mapped,          ///< one host, memory of ours
  puttable,        ///< RDMA, registered memory
  staged_on_host,  ///< one host, memory that is not ours: the shadow can be mapped
  staged_on_wire,  ///< memory that cannot even be put into
  mixed_ranks,     ///< one host; each rank's input and output are of a kind of their own
  two_hosts,       ///< mapped among ranks of one parity, put into between them
  fetched,         ///< one host: scratch mapped, the rest read by its owner from where it lies
  turns,           ///< one host: all mapped, outputs filled by either end in turn
  kept,            ///< one host: scratch mapped, what is given is kept
  kept_in_turns,   ///< the same in every other instance of a scratch
  kept_by_kinds,   ///< as mixed_ranks, and what is given is kept
  arbitrary,       ///< anything for every buffer and accessor
  hosts,           ///< of a placement: mapped inside, put into across
  hosts_of_kinds,  ///< of a placement: inside as mixed_ranks, across anything but mapped
};
inline constexpr Wiring kWirings[] = {
    Wiring::mapped,      Wiring::puttable,      Wiring::staged_on_host, Wiring::staged_on_wire,
    Wiring::mixed_ranks, Wiring::two_hosts,     Wiring::fetched,        Wiring::turns,
    Wiring::kept,        Wiring::kept_in_turns, Wiring::kept_by_kinds,  Wiring::arbitrary};

/// How `accessor` reaches a buffer of `owner` in an instance.
inline Reach reach_of(Wiring wiring, Buffer buffer, int owner, int accessor, int instance,
                      bool in_place, std::uint64_t seed) {
  const bool scratch = buffer == Buffer::scratch;
  // In place, input and output are one memory.
  const auto which = static_cast<std::uint64_t>(in_place && !scratch ? Buffer::output : buffer);
  const auto by_rank = hashed(seed ^ static_cast<std::uint64_t>(owner) << 8 ^ which);
  switch (wiring) {
    case Wiring::mapped:
      return Reach::mapped;
    case Wiring::puttable:
      return Reach::puttable;
    case Wiring::staged_on_host:
    case Wiring::kept:
    case Wiring::kept_in_turns:
      return scratch ? Reach::mapped : Reach::staged;
    case Wiring::staged_on_wire:
      return scratch ? Reach::puttable : Reach::staged;
    case Wiring::mixed_ranks:
    case Wiring::kept_by_kinds:
      return scratch || by_rank % 2 == 0 ? Reach::mapped : Reach::staged;
    case Wiring::two_hosts:
      return (owner - accessor) % 2 == 0 ? Reach::mapped : Reach::puttable;
    case Wiring::fetched:
      return scratch ? Reach::mapped : Reach::fetched;
    case Wiring::arbitrary: {
      const auto by_edge = hashed(by_rank ^ static_cast<std::uint64_t>(accessor) << 40);
      return static_cast<Reach>(by_edge % (scratch ? 2 : 5));
    }
    case Wiring::turns:
      return buffer == Buffer::output && instance % 2 == 1 ? Reach::pulled : Reach::mapped;
    case Wiring::hosts:
    case Wiring::hosts_of_kinds:
      break;  // by which the ranks' hosts are asked first
  }
  return Reach::staged;
}

/// The wiring between two ranks in one where it depends on their hosts.
inline Wiring wiring_between(Wiring wiring, const Placement* placement, int a, int b) {
  const bool inside = placement == nullptr || placement->host_of(a) == placement->host_of(b);
  if (wiring == Wiring::hosts) return inside ? Wiring::mapped : Wiring::puttable;
  if (wiring != Wiring::hosts_of_kinds) return wiring;
  if (inside) return Wiring::mixed_ranks;
  return (a + b) % 2 == 0 ? Wiring::puttable : Wiring::staged_on_wire;
}

/// Whether what is given is kept in an instance, with so many scratches.
inline bool keeps(Wiring wiring, int instance, int scratches, std::uint64_t seed) {
  return wiring == Wiring::kept || wiring == Wiring::kept_by_kinds ||
         (wiring == Wiring::kept_in_turns &&
          (static_cast<std::uint64_t>(instance / scratches) + seed) % 2 == 1);
}

/// `apart`: inputs that are outputs cannot be loaded (Schedule::input_apart).
inline std::function<EdgeReach(int, int, int)> reach_function(Wiring wiring, bool in_place,
                                                              bool apart, int scratches,
                                                              std::uint64_t seed,
                                                              const Placement* placement) {
  return [=](int rank, int peer, int instance) {
    const Wiring between = wiring_between(wiring, placement, rank, peer);
    const auto of = [&](Buffer buffer, int owner, int accessor) {
      const Reach reach = reach_of(between, buffer, owner, accessor, instance, in_place, seed);
      return in_place && apart && buffer == Buffer::input ? Reach::staged : reach;
    };
    return EdgeReach{.my_input = of(Buffer::input, rank, peer),
                     .my_output = of(Buffer::output, rank, peer),
                     .my_scratch = of(Buffer::scratch, rank, peer),
                     .peer_input = of(Buffer::input, peer, rank),
                     .peer_output = of(Buffer::output, peer, rank),
                     .peer_scratch = of(Buffer::scratch, peer, rank),
                     .shortest_fetched = seed % 3 == 0 ? 2U : 1U,
                     .i_keep = keeps(between, instance, scratches, seed),
                     .peer_keeps = keeps(between, instance, scratches, seed)};
  };
}

/// What a rank runs instead of its schedule.
using Mutate = std::function<std::unique_ptr<Schedule>(int rank, std::unique_ptr<Schedule> good)>;

/// One proof.
struct Proof {
  Case what = kRing;
  Shape shape = {};
  bool in_place = false;
  Wiring wiring = Wiring::mapped;
  int instances = 3;
  int scratches = 2;
  std::uint64_t seed = 1;

  [[nodiscard]] Verdict run() const {
    return run_with([](int, std::unique_ptr<Schedule> good) { return good; });
  }
  [[nodiscard]] Verdict run_with(const Mutate& mutate) const {
    Shape proven = on_hosts(what, shape);
    const bool apart = schedule_of(what, proven, 0)->input_apart();
    const VerifyOptions options{
        .collective = what.collective,
        .in_place = in_place,
        .instances = instances,
        .scratches = scratches,
        .reach = reach_function(wiring, in_place, apart, scratches, seed, proven.placement),
        .seed = seed};
    if (what.collective == Collective::barrier) proven.count = 0;
    return verify(
        proven, [&](int rank) { return mutate(rank, schedule_of(what, shape, rank)); }, options);
  }
};

inline std::string on_which_hosts(const Placement* placement) {
  if (placement == nullptr) return "";
  std::string text = " hosts";
  for (int rank = 0; rank < placement->size(); ++rank) {
    text += " " + std::to_string(placement->host_of(rank));
  }
  return text;
}

inline std::ostream& operator<<(std::ostream& out, const Proof& proof) {
  return out << proof.what.name << " size " << proof.shape.size << " count " << proof.shape.count
             << " root " << proof.shape.root << " alignment " << proof.shape.alignment
             << on_which_hosts(proof.shape.placement)
             << (proof.in_place ? " in place" : " out of place") << " wiring "
             << static_cast<int>(proof.wiring) << " seed " << proof.seed;
}

inline void expect_proven(const Proof& proof) {
  const Verdict verdict = proof.run();
  EXPECT_TRUE(verdict.ok) << proof << "\n" << verdict.text;
}

/// Counts around which chunks become empty, and one that is large and uneven.
inline std::vector<std::uint64_t> counts_for(int size) {
  const auto p = static_cast<std::uint64_t>(size);
  return {0, 1, p - 1, p, p + 1, 1'000'003 * p + 5};
}
inline constexpr std::uint64_t kAlignments[] = {1, 16};

/// Prints how long a test took.
class Stopwatch {
 public:
  ~Stopwatch() {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
    std::cout << proofs_ << " proofs in " << spent.count() << " s\n";
  }
  Stopwatch() = default;
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  void count() { ++proofs_; }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::uint64_t proofs_ = 0;
};

/// How much of one algorithm at one size.
enum class Extent : std::uint8_t {
  every,    ///< wiring, in place or not, count and alignment
  sampled,  ///< every wiring, in place and not, each with one count and alignment by `seed`
  rotated,  ///< a quarter of those: another one for each of four sizes in a row
};

inline void prove_all(const Case& what, int size, Extent extent, std::uint64_t seed,
                      Stopwatch& stopwatch) {
  const std::vector<std::uint64_t> counts = counts_for(size);
  for (const Wiring wiring : kWirings) {
    for (const bool in_place : {false, true}) {
      if (in_place && !can_be_in_place(what.collective)) continue;
      seed = hashed(seed);
      const int turn = static_cast<int>(wiring) + (in_place ? 8 : 0) + size;
      if (extent == Extent::rotated && turn % 4 != 0) continue;
      for (std::size_t c = 0; c < counts.size(); ++c) {
        if (what.collective == Collective::barrier && c > 0) break;
        for (std::size_t a = 0; a < 2; ++a) {
          if (extent != Extent::every && (seed >> 8) % (2 * counts.size()) != 2 * c + a) continue;
          Proof proof{
              .what = what,
              .shape = {.size = size,
                        .count = counts[c],
                        .root = static_cast<int>((seed >> 16) % static_cast<std::uint64_t>(size)),
                        .alignment = kAlignments[a]},
              .in_place = in_place,
              .wiring = wiring,
              .seed = seed};
          expect_proven(proof);
          stopwatch.count();
          if (testing::Test::HasFailure()) return;
        }
      }
    }
  }
}

}  // namespace paceline::collectives
