// The formulas of the cost model: what must hold of them whatever the machine is like. That they
// predict what the engine takes is tested beside the engine (tests/engine/cost_sim_test.cpp).
#include "collectives/cost.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "collectives/schedule.h"

namespace paceline::collectives {
namespace {

/// Like TCP: a message costs as much as tens of thousands of bytes, a rank has one port.
CostParameters slow_wire() {
  CostParameters parameters;
  parameters.inside = {.eager = 15'000, .alpha = 15'000, .post = 4'000, .beta = 0.5, .port = 0.5};
  parameters.between = {.eager = 20'000, .alpha = 20'000, .post = 4'000, .beta = 0.8, .port = 0.8};
  parameters.host = 0.8;
  parameters.mapped = 0.05;
  parameters.gamma = 0.05;
  return parameters;
}

/// Of nanoseconds.
constexpr double kRounding = 1e-6;

double time_of(Collective collective, Algorithm algorithm, int ranks, std::uint64_t bytes,
               int hosts = 1) {
  return predicted_ns(collective, algorithm, {.ranks = ranks, .hosts = hosts}, bytes, {},
                      slow_wire());
}

std::vector<Collective> all_collectives() {
  std::vector<Collective> all;
  for (std::uint8_t c = 1; is_valid(static_cast<Collective>(c)); ++c) {
    all.push_back(static_cast<Collective>(c));
  }
  return all;
}

std::string named(Collective collective, Algorithm algorithm) {
  return std::string(to_string(collective)) + " by " + std::string(to_string(algorithm));
}

TEST(Cost, EveryPairThatIsOfferedHasAFormulaAndNoOther) {
  for (const Collective collective : all_collectives()) {
    for (std::uint8_t a = 1; to_string(static_cast<Algorithm>(a)) != "?"; ++a) {
      const auto algorithm = static_cast<Algorithm>(a);
      const double time = time_of(collective, algorithm, 5, 1000);
      EXPECT_EQ(std::isfinite(time), offers(collective, algorithm)) << named(collective, algorithm);
      EXPECT_GT(time, 0) << named(collective, algorithm);
    }
  }
}

struct Place {
  Layout layout;
  std::size_t eager_bytes;
};

TEST(Cost, MoreBytesNeverTakeLessTime) {
  // Where memory is mapped, what no longer fits into a message may well be faster than what does.
  std::vector<Place> places;
  for (const int ranks : {1, 2, 3, 7, 8, 24, 1000}) {
    places.push_back({{.ranks = ranks}, 4096});
    places.push_back({{.ranks = ranks, .mapped = true}, 0});
    if (ranks >= 7) places.push_back({{.ranks = ranks, .hosts = 4, .mapped = true}, 0});
    places.push_back({{.ranks = ranks, .hosts = ranks}, 4096});
  }
  for (const Collective collective : all_collectives()) {
    for (const Algorithm algorithm : algorithms_of(collective)) {
      for (const Place& place : places) {
        const Cut cut{.eager_bytes = place.eager_bytes};
        double before = 0;
        for (std::uint64_t bytes = 1; bytes < std::uint64_t{1} << 32; bytes += bytes / 2 + 1) {
          const double time =
              predicted_ns(collective, algorithm, place.layout, bytes, cut, slow_wire());
          ASSERT_GE(time, before) << named(collective, algorithm) << ", " << bytes << " bytes, "
                                  << place.layout.ranks << " ranks on " << place.layout.hosts;
          before = time;
        }
      }
    }
  }
}

// What the papers say: few rounds win for little data, little data on the wire for much.
TEST(Cost, TheKnownCrossoversAreThere) {
  struct Crossover {
    Collective collective;
    Algorithm for_little;
    Algorithm for_much;
  };
  constexpr Crossover kKnown[] = {
      {Collective::all_reduce, Algorithm::recursive_doubling, Algorithm::ring},
      {Collective::all_reduce, Algorithm::recursive_doubling, Algorithm::halving_doubling},
      {Collective::all_reduce, Algorithm::tree, Algorithm::ring},
      {Collective::broadcast, Algorithm::binomial, Algorithm::scatter_all_gather},
      {Collective::broadcast, Algorithm::binomial, Algorithm::tree},
      {Collective::all_to_all, Algorithm::bruck, Algorithm::direct},
  };
  constexpr std::uint64_t kLittle = 8;
  constexpr std::uint64_t kMuch = 64 << 20;
  for (const Crossover& known : kKnown) {
    EXPECT_LT(time_of(known.collective, known.for_little, 16, kLittle),
              time_of(known.collective, known.for_much, 16, kLittle))
        << named(known.collective, known.for_little);
    EXPECT_LT(time_of(known.collective, known.for_much, 16, kMuch),
              time_of(known.collective, known.for_little, 16, kMuch))
        << named(known.collective, known.for_much);
  }
}

TEST(Cost, RoundsAreCounted) {
  const LinkCost& link = slow_wire().inside;
  const double byte = link.beta + 2 * slow_wire().gamma;
  // log2(p) messages of n, each of which is added to as much.
  EXPECT_NEAR(time_of(Collective::all_reduce, Algorithm::recursive_doubling, 8, 800),
              3 * (link.eager + 800 * byte), kRounding);
  EXPECT_NEAR(time_of(Collective::barrier, Algorithm::recursive_doubling, 1024, 0), 10 * link.eager,
              kRounding);
  // 2 (p-1) messages of n/p.
  EXPECT_NEAR(time_of(Collective::all_reduce, Algorithm::ring, 8, 800),
              14 * (link.eager + 100 * link.beta) + 7 * 2 * 100 * slow_wire().gamma, kRounding);
}

// One message to each peer and one from each: one flight, and what the others add at both ends.
TEST(Cost, OneShotIsOneStep) {
  const CostParameters p = slow_wire();
  const double work = 7 * 800 * p.inside.port + 8 * 800 * p.gamma;
  EXPECT_NEAR(time_of(Collective::all_reduce, Algorithm::one_shot, 8, 800),
              p.inside.eager + 2 * 6 * p.inside.post + work, kRounding);
  EXPECT_LT(time_of(Collective::barrier, Algorithm::one_shot, 3, 0),
            time_of(Collective::barrier, Algorithm::recursive_doubling, 3, 0));
  EXPECT_GT(time_of(Collective::barrier, Algorithm::one_shot, 16, 0),
            time_of(Collective::barrier, Algorithm::recursive_doubling, 16, 0));
}

// Each of the four ranks of a core is switched to, posts and takes, in each step.
TEST(Cost, RanksThatShareACoreTakeTurns) {
  const CostParameters p = slow_wire();
  const auto time = [&](Algorithm algorithm) {
    return predicted_ns(Collective::barrier, algorithm, {.ranks = 8, .ranks_per_core = 4}, 0, {},
                        p);
  };
  EXPECT_NEAR(time(Algorithm::one_shot), 4 * (kSwitchNs + 2 * 7 * p.inside.post), kRounding);
  EXPECT_NEAR(time(Algorithm::recursive_doubling), 3 * 4 * (kSwitchNs + 2 * p.inside.post),
              kRounding);
}

TEST(Cost, NeighboursShareAHostAndFarRanksDoNot) {
  // Four ranks on each of two hosts: two rounds inside, one between.
  const CostParameters p = slow_wire();
  EXPECT_NEAR(time_of(Collective::barrier, Algorithm::recursive_doubling, 8, 0, 2),
              2 * p.inside.eager + p.between.eager, kRounding);
  EXPECT_NEAR(time_of(Collective::barrier, Algorithm::recursive_doubling, 8, 0, 8),
              3 * p.between.eager, kRounding);
  // All ranks of a host put whole vectors through its card in that round, the ring one chunk.
  CostParameters crowded = slow_wire();
  crowded.host = 10;
  const Layout layout{.ranks = 8, .hosts = 2};
  const auto time = [&](Algorithm algorithm) {
    return predicted_ns(Collective::all_reduce, algorithm, layout, 1 << 20, {}, crowded);
  };
  EXPECT_GT(time(Algorithm::recursive_doubling), 2 * time(Algorithm::ring));
}

TEST(Cost, OnePortIsSharedByAllPeers) {
  CostParameters links = slow_wire();
  links.inside.port = 0;
  links.inside.post = 0;
  constexpr std::uint64_t kBytes = 4096;
  const Layout layout{.ranks = 9};
  const double shared =
      predicted_ns(Collective::all_to_all, Algorithm::direct, layout, kBytes, {}, slow_wire());
  const double alone =
      predicted_ns(Collective::all_to_all, Algorithm::direct, layout, kBytes, {}, links);
  const LinkCost& link = slow_wire().inside;
  EXPECT_NEAR(shared - alone, 7 * kBytes * link.port + 7 * link.post, kRounding);
}

TEST(Cost, WhatIsMappedDoesNotTravel) {
  for (const Collective collective :
       {Collective::all_reduce, Collective::reduce, Collective::reduce_scatter,
        Collective::all_gather, Collective::broadcast, Collective::scatter}) {
    const auto time = [&](bool mapped) {
      return predicted_ns(collective, Algorithm::direct, {.ranks = 4, .mapped = mapped}, 1 << 20,
                          {}, slow_wire());
    };
    EXPECT_LT(2 * time(true), time(false)) << to_string(collective);
  }
}

TEST(Cost, LanesKeepTheWireBusyAndSegmentsBoundTheLatency) {
  constexpr std::uint64_t kBytes = 64 << 20;
  const auto time = [](std::size_t segment, int lanes) {
    return predicted_ns(Collective::all_reduce, Algorithm::ring, {.ranks = 16}, kBytes,
                        {.segment_bytes = segment, .lanes = lanes}, slow_wire());
  };
  EXPECT_GT(time(32 << 10, 1), 1.2 * time(32 << 10, 4));
  EXPECT_GT(time(32 << 10, 1), time(512 << 10, 1)) << "fewer messages";
  // However many lanes, the wire carries what it must: twice 15/16 of the data.
  EXPECT_GE(time(512 << 10, 8), 2.0 * 15 / 16 * kBytes * slow_wire().inside.port);
}

TEST(Cost, LargeJobsCostNoMoreToThinkAbout) {
  for (const Collective collective : all_collectives()) {
    for (const Algorithm algorithm : algorithms_of(collective)) {
      const double time = time_of(collective, algorithm, 16'384, 1 << 20, 2048);
      EXPECT_TRUE(std::isfinite(time)) << named(collective, algorithm);
      EXPECT_GT(time, time_of(collective, algorithm, 16, 1 << 20, 2) / 1.01)
          << named(collective, algorithm);
    }
  }
}

}  // namespace
}  // namespace paceline::collectives
