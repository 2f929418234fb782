// What is fetched out of a peer's memory in place of being put: by whom, and in how many calls.
// (engine_test.cpp has when a rank may go on to use what it gave.)
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "engine/sim_world.h"

namespace paceline::engine {
namespace {

using transport::SimOptions;

constexpr std::size_t kSegment = 512;

/// One host, where callers' memory can be read and not mapped.
SimOptions readable_memory(int ranks) {
  SimOptions sim = plain_memory(ranks);
  sim.gettable = true;
  return sim;
}

PlanOptions small_segments() {
  PlanOptions plan;
  plan.eager_bytes = 64;
  plan.segment_bytes = kSegment;
  plan.fetch_bytes = 64;
  plan.lap_bytes = 16 * 1024;
  return plan;
}

std::int32_t value(int call, int from, int to, std::size_t i) {
  return static_cast<std::int32_t>(i % 1009) + 10'000 * from + 1'000'000 * to + 100'000'000 * call;
}

/// A call of everybody, out of place, of which every element is checked. `count`: of a block.
void run(SimWorld& world, Collective collective, Algorithm algorithm, std::size_t count,
         int number) {
  const auto size = static_cast<std::size_t>(world.size());
  const bool to_each = collective == Collective::all_to_all;
  const int root = number % world.size();
  const Call call{collective, DataType::int32, ReduceOp::sum, algorithm, root, count};
  const bool broadcast = collective == Collective::broadcast;
  std::vector<std::vector<std::int32_t>> in(size), out(size);
  for (std::size_t r = 0; r < size; ++r) {
    for (std::size_t to = 0; to < (to_each ? size : 1); ++to) {
      for (std::size_t i = 0; i < count; ++i) {
        in[r].push_back(value(number % 10, static_cast<int>(r), static_cast<int>(to), i));
      }
    }
    out[r].assign(broadcast ? count : size * count, -1);
    Buffers buffers{reinterpret_cast<const std::byte*>(in[r].data()),
                    reinterpret_cast<std::byte*>(out[r].data())};
    if (broadcast) {
      if (static_cast<int>(r) == root) out[r] = in[r];
      buffers.input = buffers.output;
    }
    world.engine(static_cast<int>(r)).submit(call, buffers);
  }
  ASSERT_TRUE(world.run()) << "deadlock";
  for (std::size_t r = 0; r < size; ++r) {
    ASSERT_FALSE(world.error(static_cast<int>(r))) << world.error(static_cast<int>(r))->what();
    for (std::size_t i = 0; i < out[r].size(); ++i) {
      const int from = broadcast ? root : static_cast<int>(i / count);
      ASSERT_EQ(out[r][i], value(number % 10, from, to_each ? static_cast<int>(r) : 0, i % count))
          << call.text() << ", call " << number << ", rank " << r << ", element " << i;
    }
  }
}

class FetchedAhead : public testing::TestWithParam<Collective> {};

TEST_P(FetchedAhead, OneCallGetsAllThatIsReady) {
  constexpr std::size_t kCount = 9 * kSegment / sizeof(std::int32_t) + 7;
  for (const int ranks : {2, 3}) {
    for (int lanes = 1; lanes <= 4; ++lanes) {
      std::map<int, std::vector<std::size_t>> gets;
      SimOptions sim = readable_memory(ranks);
      sim.on_get = [&](int rank, std::size_t bytes) { gets[rank].push_back(bytes); };
      PlanOptions plan = small_segments();
      plan.lanes = lanes;
      SimWorld world(sim, plan);
      run(world, GetParam(), Algorithm::direct, kCount, 1);
      ASSERT_FALSE(HasFatalFailure());
      const std::vector<std::size_t> one_from_each(static_cast<std::size_t>(ranks - 1),
                                                   kCount * sizeof(std::int32_t));
      for (int r = 0; r < ranks; ++r) {
        EXPECT_EQ(gets[r], one_from_each) << "rank " << r << " of " << ranks << ", lanes " << lanes;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Collectives, FetchedAhead,
                         testing::Values(Collective::all_gather, Collective::all_to_all),
                         [](const auto& given) { return std::string(to_string(given.param)); });

// Lanes overtake each other, so that what is fetched first need not be what comes first. However it
// comes, of whole blocks nothing is fetched twice.
TEST(Fetched, InWhateverOrderItComes) {
  for (const Collective collective :
       {Collective::all_gather, Collective::all_to_all, Collective::broadcast}) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
      std::map<int, std::size_t> got;
      SimOptions sim = readable_memory(2 + static_cast<int>(seed % 3));
      sim.seed = seed;
      sim.extra_delay = 50'000;
      sim.reorder = true;
      sim.on_get = [&](int rank, std::size_t bytes) { got[rank] += bytes; };
      PlanOptions plan = small_segments();
      plan.lanes = 1 + static_cast<int>(seed % 4);
      SimWorld world(sim, plan);
      for (const Algorithm algorithm : collectives::algorithms_of(collective)) {
        for (const std::size_t count : {std::size_t{300}, std::size_t{1500}}) {
          got.clear();
          run(world, collective, algorithm, count, static_cast<int>(seed));
          if (HasFatalFailure()) FAIL() << "seed " << seed << ", " << to_string(algorithm);
          if (algorithm !=
              (collective == Collective::broadcast ? Algorithm::binomial : Algorithm::direct)) {
            continue;
          }
          const auto blocks_of = [&](int rank) {
            if (collective != Collective::broadcast) return world.size() - 1;
            return rank == static_cast<int>(seed) % world.size() ? 0 : 1;
          };
          for (int r = 0; r < world.size(); ++r) {
            const auto blocks = static_cast<std::size_t>(blocks_of(r));
            EXPECT_EQ(got[r], blocks * count * sizeof(std::int32_t))
                << to_string(collective) << ", seed " << seed << ", rank " << r;
          }
        }
      }
    }
  }
}

// Where two copies are quicker otherwise, only from those whose stores go past the caches.
TEST(Fetched, FromThoseThatStream) {
  std::map<int, int> gets;
  SimOptions sim = readable_memory(2);
  sim.get_beats_copies = false;
  sim.streams = [](int rank) { return rank == 1; };
  sim.on_get = [&](int rank, std::size_t) { ++gets[rank]; };
  SimWorld world(sim, small_segments());
  run(world, Collective::all_gather, Algorithm::direct, 1500, 1);
  EXPECT_EQ(gets, (std::map<int, int>{{0, 1}}));
}

TEST(Fetched, ChangesOfMindHarmNothing) {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    std::mt19937 random(seed);
    SimOptions sim = readable_memory(2 + static_cast<int>(seed % 3));
    sim.seed = seed;
    sim.extra_delay = 5000;
    sim.reorder = true;
    sim.get_beats_copies = false;
    sim.streams = [&random](int) { return random() % 2 != 0; };
    PlanOptions plan = small_segments();
    plan.lanes = 1 + static_cast<int>(seed % 3);
    SimWorld world(sim, plan);
    for (int call = 0; call < 30; ++call) {
      const Collective collective = call % 3 == 0   ? Collective::all_gather
                                    : call % 3 == 1 ? Collective::all_to_all
                                                    : Collective::broadcast;
      run(world, collective, collectives::algorithms_of(collective).front(), 1500, call);
      if (HasFatalFailure()) FAIL() << "seed " << seed;
    }
  }
}

// What is best for long data says nothing of shorter data, so the wire is told which follows.
TEST(Expecting, DataThatCachesCannotHoldIsTold) {
  std::vector<bool> told;
  SimOptions sim = readable_memory(2);
  sim.on_expect = [&](int rank, bool beyond_caches) {
    if (rank == 0) told.push_back(beyond_caches);
  };
  PlanOptions plan = small_segments();
  plan.streaming_bytes = 10'000;
  SimWorld world(sim, plan);
  for (const std::size_t count : {300, 3000, 300}) {
    run(world, Collective::all_gather, Algorithm::direct, count, 1);
  }
  EXPECT_EQ(told, (std::vector<bool>{false, true, false}));
}

}  // namespace
}  // namespace paceline::engine
