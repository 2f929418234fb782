// Who keeps what it gives: both ends of a link or neither, though each has an opinion of its own
// that changes from call to call.
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/sim_world.h"

namespace paceline::engine {
namespace {

using transport::RemoteAddress;
using transport::SimOptions;

std::int32_t value(int call, int rank, std::size_t i) {
  return static_cast<std::int32_t>(i % 1009) * (rank + 1) + call;
}

/// An all_reduce of everybody, out of place, of which every element is checked.
void all_reduce(SimWorld& world, Algorithm algorithm, std::size_t count, int number) {
  const auto size = static_cast<std::size_t>(world.size());
  const Call call{Collective::all_reduce, DataType::int32, ReduceOp::sum, algorithm, 0, count};
  std::vector<std::vector<std::int32_t>> in(size, std::vector<std::int32_t>(count));
  std::vector<std::vector<std::int32_t>> out(size, std::vector<std::int32_t>(count, -1));
  for (std::size_t r = 0; r < size; ++r) {
    for (std::size_t i = 0; i < count; ++i) in[r][i] = value(number, static_cast<int>(r), i);
    world.engine(static_cast<int>(r))
        .submit(call, {reinterpret_cast<const std::byte*>(in[r].data()),
                       reinterpret_cast<std::byte*>(out[r].data())});
  }
  ASSERT_TRUE(world.run()) << "deadlock";
  for (std::size_t r = 0; r < size; ++r) {
    ASSERT_FALSE(world.error(static_cast<int>(r))) << world.error(static_cast<int>(r))->what();
    for (std::size_t i = 0; i < count; ++i) {
      std::int32_t sum = 0;
      for (int s = 0; s < world.size(); ++s) sum += value(number, s, i);
      ASSERT_EQ(out[r][i], sum) << "call " << number << ", rank " << r << ", element " << i;
    }
  }
}

class Keeps : public testing::TestWithParam<Algorithm> {};

TEST_P(Keeps, ChangesOfMindHarmNothing) {
  for (const int ranks : {2, 3, 4}) {
    for (unsigned seed = 1; seed <= 5; ++seed) {
      std::mt19937 random(seed);
      SimOptions sim = plain_memory(ranks);
      sim.seed = seed;
      sim.extra_delay = 5000;
      sim.reorder = true;
      sim.keeps_lines = [&random](int) { return random() % 4 != 0; };
      PlanOptions plan;
      plan.eager_bytes = 64;
      plan.segment_bytes = 512;
      plan.lanes = 1 + static_cast<int>(seed % 3);
      plan.lap_bytes = 16 * 1024;
      SimWorld world(sim, plan);
      for (int call = 0; call < 40; ++call) {
        all_reduce(world, GetParam(), call % 3 == 0 ? 100 : 1500, call);
        if (HasFatalFailure()) FAIL() << ranks << " ranks, seed " << seed;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Algorithms, Keeps, testing::Values(Algorithm::direct, Algorithm::one_shot),
                         [](const auto& given) { return std::string(to_string(given.param)); });

/// Where rank 1 puts to, in calls after the first few have told who likes what.
std::set<std::uint64_t> targets_of_rank_1(const std::function<bool(int)>& likes) {
  std::set<std::uint64_t> targets;
  bool counts = false;
  SimOptions sim = plain_memory(2);
  sim.keeps_lines = likes;
  sim.on_put = [&](int rank, const RemoteAddress& target) {
    if (counts && rank == 1) targets.insert(target.address);
  };
  PlanOptions plan;
  plan.eager_bytes = 64;
  plan.lap_bytes = 64 * 1024;
  SimWorld world(sim, plan);
  for (int call = 0; call < 12; ++call) {
    counts = call >= 3;
    all_reduce(world, Algorithm::one_shot, 1000, call);
    if (testing::Test::HasFatalFailure()) break;
  }
  return targets;
}

// Laps are the place's owner's affair: if rank 0 went on alone, what rank 1 stores would go to the
// same lines for ever, and that is what it does not like.
TEST(Keeping, NobodyGoesOnAlone) {
  EXPECT_EQ(targets_of_rank_1([](int) { return true; }).size(), 1U);
  EXPECT_GT(targets_of_rank_1([](int rank) { return rank == 0; }).size(), 3U);
  EXPECT_GT(targets_of_rank_1([](int rank) { return rank == 1; }).size(), 3U);
  EXPECT_GT(targets_of_rank_1([](int) { return false; }).size(), 3U);
}

TEST(Keeping, BeginsAgainWhenBothLikeIt) {
  int asked = 0;
  // Rank 1 changes its mind once.
  const auto targets = targets_of_rank_1([&asked](int rank) { return rank == 0 || ++asked > 2; });
  EXPECT_EQ(targets.size(), 1U);
}

}  // namespace
}  // namespace paceline::engine
