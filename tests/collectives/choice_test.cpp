// The table of choices: made from the cost model, overridden by rules and by the configuration.
#include "collectives/choice.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "collectives/schedule.h"

namespace paceline::collectives {
namespace {

constexpr std::uint64_t kEverything = std::numeric_limits<std::uint64_t>::max();

Policy on_tcp(int ranks) {
  Policy policy;
  policy.layout = {.ranks = ranks};
  policy.parameters.inside = {
      .eager = 15'000, .alpha = 15'000, .post = 2'000, .beta = 0.5, .port = 0.5};
  policy.parameters.between = policy.parameters.inside;
  policy.parameters.gamma = 0.05;
  return policy;
}

std::vector<Collective> all_collectives() {
  std::vector<Collective> all;
  for (std::uint8_t c = 1; is_valid(static_cast<Collective>(c)); ++c) {
    all.push_back(static_cast<Collective>(c));
  }
  return all;
}

TEST(Choices, CoverEverySizeInAscendingOrder) {
  for (const int ranks : {1, 2, 5, 64}) {
    const Choices choices(on_tcp(ranks));
    for (const Collective collective : all_collectives()) {
      const auto& entries = choices.entries(collective);
      ASSERT_FALSE(entries.empty());
      EXPECT_EQ(entries.back().last, kEverything);
      for (std::size_t i = 0; i < entries.size(); ++i) {
        EXPECT_TRUE(offers(collective, entries[i].choice.algorithm));
        if (i == 0) continue;
        EXPECT_LT(entries[i - 1].last, entries[i].last);
        EXPECT_NE(entries[i - 1].choice, entries[i].choice) << "two entries that are one";
      }
      // Hot calls look at a few entries.
      EXPECT_LE(entries.size(), 12U) << to_string(collective) << ", " << ranks << " ranks";
    }
  }
}

// Between the sizes that the table was made from, it is as good as thinking about the very size,
// but for what is too little to be worth a change.
TEST(Choices, AreAsGoodAsDecidingEachTime) {
  std::mt19937_64 random(1);
  for (const int ranks : {2, 4, 7, 32}) {
    const Policy policy = on_tcp(ranks);
    const Choices choices(policy);
    for (const Collective collective : all_collectives()) {
      for (int i = 0; i < 200; ++i) {
        const std::uint64_t bytes = random() >> (34 + random() % 30);
        const Choice choice = choices.at(collective, bytes);
        const double time = predicted_ns(collective, choice.algorithm, policy.layout, bytes,
                                         policy.cut(choice), policy.parameters);
        EXPECT_LE(time, 1.15 * decide(collective, bytes, policy).predicted_ns)
            << to_string(collective) << " of " << bytes << " bytes on " << ranks << " by "
            << to_string(choice.algorithm);
      }
    }
  }
}

TEST(Choices, FollowTheModelFromLittleToMuch) {
  const Choices choices(on_tcp(16));
  EXPECT_EQ(choices.at(Collective::all_reduce, 8).algorithm, Algorithm::recursive_doubling);
  const Choice large = choices.at(Collective::all_reduce, 256 << 20);
  EXPECT_TRUE(large.algorithm == Algorithm::ring || large.algorithm == Algorithm::direct)
      << to_string(large.algorithm);
  const Choices of_many(on_tcp(64));  // of 16, each writes to 15 as quickly as in four rounds
  EXPECT_EQ(of_many.at(Collective::all_to_all, 8).algorithm, Algorithm::bruck);
  EXPECT_EQ(choices.at(Collective::all_to_all, 1 << 20).algorithm, Algorithm::direct);
}

TEST(Choices, TheSamePolicyGivesTheSameTable) {
  const Choices one(on_tcp(6));
  const Choices other(on_tcp(6));
  for (const Collective collective : all_collectives()) {
    EXPECT_EQ(one.entries(collective), other.entries(collective));
  }
}

TEST(Rules, HoldToTheByte) {
  Policy policy = on_tcp(4);
  policy.rules = {{.collective = Collective::all_reduce,
                   .bytes = {1000, 70'000},
                   .algorithm = Algorithm::tree,
                   .segment_bytes = 8192,
                   .lanes = 3}};
  const Choices choices(policy);
  const Choice ruled{Algorithm::tree, 8192, 3};
  for (const std::uint64_t bytes : {1000U, 1001U, 4096U, 69'999U, 70'000U}) {
    EXPECT_EQ(choices.at(Collective::all_reduce, bytes), ruled) << bytes;
  }
  for (const std::uint64_t bytes : {0U, 999U, 70'001U, 1U << 30}) {
    EXPECT_EQ(choices.at(Collective::all_reduce, bytes),
              Choices(on_tcp(4)).at(Collective::all_reduce, bytes))
        << bytes;
  }
  EXPECT_EQ(choices.entries(Collective::reduce), Choices(on_tcp(4)).entries(Collective::reduce));
}

TEST(Rules, TheFirstThatMatchesWins) {
  Policy policy = on_tcp(4);
  policy.rules = {
      {.collective = Collective::all_reduce, .ranks = {5, 9}, .algorithm = Algorithm::direct},
      {.collective = Collective::all_reduce, .hosts = {2, 2}, .algorithm = Algorithm::direct},
      {.collective = Collective::all_reduce, .bytes = {0, 10}, .algorithm = Algorithm::tree},
      {.collective = Collective::all_reduce, .ranks = {4, 4}, .algorithm = Algorithm::ring},
      {.collective = Collective::all_reduce, .algorithm = Algorithm::direct}};
  const Choices choices(policy);
  EXPECT_EQ(choices.at(Collective::all_reduce, 10).algorithm, Algorithm::tree);
  EXPECT_EQ(choices.at(Collective::all_reduce, 11).algorithm, Algorithm::ring);
  EXPECT_EQ(choices.at(Collective::all_reduce, kEverything).algorithm, Algorithm::ring);
  EXPECT_EQ(matching_rule(Collective::all_reduce, 11, policy), &policy.rules[3]);
  EXPECT_EQ(matching_rule(Collective::broadcast, 11, policy), nullptr);
}

TEST(Rules, WhatTheyLeaveOpenIsTheModels) {
  Policy policy = on_tcp(8);
  policy.rules = {{.collective = Collective::broadcast, .segment_bytes = 64 * 1024}};
  constexpr std::uint64_t kBytes = 64 << 20;
  const Candidate chosen = decide(Collective::broadcast, kBytes, policy);
  EXPECT_EQ(chosen.choice.segment_bytes, 64U * 1024);
  for (const Candidate& one : candidates(Collective::broadcast, kBytes, policy)) {
    EXPECT_EQ(one.choice.segment_bytes, 64U * 1024);
    EXPECT_LE(chosen.predicted_ns, 1.02 * one.predicted_ns);
  }
}

TEST(Configuration, WinsOverRulesWhereItIsOffered) {
  Policy policy = on_tcp(4);
  policy.rules = {{.collective = Collective::all_reduce,
                   .algorithm = Algorithm::tree,
                   .segment_bytes = 8192,
                   .lanes = 3},
                  {.collective = Collective::reduce, .algorithm = Algorithm::direct}};
  policy.algorithm = Algorithm::ring;
  policy.segment_bytes = 4096;
  policy.lanes = 7;
  const Choices choices(policy);
  EXPECT_EQ(choices.at(Collective::all_reduce, 5000), (Choice{Algorithm::ring, 4096, 7}));
  // No reduce around the ring: the rule counts, and what is configured of the rest.
  EXPECT_EQ(choices.at(Collective::reduce, 5000), (Choice{Algorithm::direct, 4096, 7}));
}

TEST(Candidates, AreAllThatIsOfferedTheFastestFirst) {
  for (const Collective collective : all_collectives()) {
    const std::vector<Candidate> all = candidates(collective, 100'000, on_tcp(6));
    EXPECT_EQ(all.size(), algorithms_of(collective).size());
    for (std::size_t i = 1; i < all.size(); ++i) {
      EXPECT_LE(all[i - 1].predicted_ns, (i == 1 ? 1.02 : 1.0) * all[i].predicted_ns);
    }
  }
}

}  // namespace
}  // namespace paceline::collectives
