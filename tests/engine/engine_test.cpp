// The engine in virtual time: every algorithm over wires that delay, reorder, stall and die.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <tuple>

#include "engine/sim_world.h"

namespace paceline::engine {
namespace {

using transport::SimOptions;

double value(int rank, std::size_t i) {
  return static_cast<double>((i * 7 + static_cast<std::size_t>(rank) * 31) % 61) - 30;
}

double sum(int size, std::size_t i) {
  double s = 0;
  for (int r = 0; r < size; ++r) s += value(r, i);
  return s;
}

Call all_reduce(Algorithm algorithm, std::size_t count) {
  return {Collective::all_reduce, DataType::float64, ReduceOp::sum, algorithm, 0, count};
}

Buffers buffers(const std::vector<double>& in, std::vector<double>& out) {
  return {reinterpret_cast<const std::byte*>(in.data()), reinterpret_cast<std::byte*>(out.data())};
}

/// `ranks` of each host but the last, which may have fewer, as SimOptions::ranks_per_host.
std::shared_ptr<const collectives::Placement> in_blocks(int size, int ranks) {
  std::vector<int> host_of;
  for (int rank = 0; rank < size; ++rank) host_of.push_back(rank / ranks);
  return std::make_shared<const collectives::Placement>(host_of);
}

PlanOptions small_segments() {
  PlanOptions options;
  options.eager_bytes = 256;
  options.segment_bytes = 512;
  options.lanes = 3;
  return options;
}

// Runs `rounds` all_reduces of everybody and checks every element of every rank.
void check_all_reduce(SimWorld& world, Algorithm algorithm, std::size_t count, bool in_place,
                      int rounds = 1) {
  const auto size = static_cast<std::size_t>(world.size());
  std::vector<std::vector<double>> in(size), out(size);
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t r = 0; r < size; ++r) {
      in[r].resize(count);
      out[r].assign(count, 1e9);
      for (std::size_t i = 0; i < count; ++i) in[r][i] = value(static_cast<int>(r), i);
    }
    for (std::size_t r = 0; r < size; ++r) {
      auto& target = in_place ? in[r] : out[r];
      auto operation = world.engine(static_cast<int>(r))
                           .submit(all_reduce(algorithm, count), buffers(in[r], target));
      ASSERT_NE(operation, nullptr);
    }
    ASSERT_TRUE(world.run()) << "deadlock";
    for (std::size_t r = 0; r < size; ++r) {
      ASSERT_FALSE(world.error(static_cast<int>(r))) << world.error(static_cast<int>(r))->what();
      const auto& result = in_place ? in[r] : out[r];
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(result[i], sum(world.size(), i))
            << to_string(algorithm) << ", rank " << r << " of " << size << ", element " << i
            << " of " << count << (in_place ? ", in place" : "");
      }
    }
  }
}

enum class Memories { puttable, mapped, staged, mixed };

class Sim : public testing::TestWithParam<std::tuple<Algorithm, Memories>> {
 protected:
  SimOptions options(int ranks, std::uint64_t seed) const {
    SimOptions o;
    o.ranks = ranks;
    o.seed = seed;
    o.extra_delay = 5000;
    o.reorder = true;
    o.loss = 0.02;
    o.queue_depth = 1 + seed % 3;
    o.mailbox = 1 + seed % 4;
    const Memories memories = std::get<1>(GetParam());
    if (memories == Memories::mapped || memories == Memories::mixed) {
      o.mappable = true;
      o.ranks_per_host = memories == Memories::mapped ? ranks : 2;
    }
    if (memories == Memories::staged || memories == Memories::mixed) {
      // Scratch is the library's own and always has a key; callers' memory has none, or by chance.
      o.can_register = [=, n = seed](const transport::MemoryView& view) mutable {
        if (view.shareable_fd >= 0) return true;
        return memories == Memories::mixed && (n = n * 6364136223846793005u + 1) >> 62 == 0;
      };
    }
    return o;
  }
};

TEST_P(Sim, EveryElementIsRightHoweverTheWireBehaves) {
  const Algorithm algorithm = std::get<0>(GetParam());
  std::uint64_t seed = 1;
  for (const int ranks : {1, 2, 3, 4, 5, 7, 8, 13}) {
    for (const std::size_t count :
         {std::size_t{0}, std::size_t{1}, std::size_t{31}, std::size_t{400}, std::size_t{5003}}) {
      PlanOptions plan = small_segments();
      plan.placement = in_blocks(ranks, 2);
      SimWorld world(options(ranks, ++seed), plan);
      check_all_reduce(world, algorithm, count, seed % 2 == 0, 2);
      if (HasFatalFailure()) {
        FAIL() << "ranks " << ranks << ", count " << count << ", seed " << seed;
      }
    }
  }
}

std::string sim_name(const testing::TestParamInfo<std::tuple<Algorithm, Memories>>& info) {
  const char* memories[] = {"puttable", "mapped", "staged", "mixed"};
  return std::string(to_string(std::get<0>(info.param))) + "_" +
         memories[static_cast<int>(std::get<1>(info.param))];
}

INSTANTIATE_TEST_SUITE_P(
    Algorithms, Sim,
    testing::Combine(
        testing::Values(Algorithm::ring, Algorithm::recursive_doubling, Algorithm::direct,
                        Algorithm::hierarchical, Algorithm::one_shot),
        testing::Values(Memories::puttable, Memories::mapped, Memories::staged, Memories::mixed)),
    sim_name);

// Hosts of 1 to 5 ranks, the ranks of each next to each other or dealt out in turn: some drive
// several shares, and messages, puts and mapped memory meet in one call.
TEST(Hosts, OfAnyPlacementSumUpAlike) {
  std::uint64_t seed = 100;
  for (const std::vector<int>& host_of :
       {std::vector{0, 0, 0, 1}, std::vector{0, 1, 1, 2, 2, 2}, std::vector{0, 1, 0, 1, 0, 1},
        std::vector{2, 1, 0, 2, 1, 2, 2, 2}, std::vector{0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3}}) {
    for (const std::size_t count : {std::size_t{7}, std::size_t{100}, std::size_t{4999}}) {
      SimOptions o;
      o.ranks = static_cast<int>(host_of.size());
      o.seed = ++seed;
      o.extra_delay = 5000;
      o.reorder = true;
      o.queue_depth = 2;
      o.mailbox = 2;
      o.mappable = true;
      o.ranks_per_host = 2;  // as far as these share a host, or have split one
      PlanOptions plan = small_segments();
      plan.placement = std::make_shared<const collectives::Placement>(host_of);
      SimWorld world(o, plan);
      check_all_reduce(world, Algorithm::hierarchical, count, seed % 2 == 0, 2);
      if (HasFatalFailure()) FAIL() << "count " << count << ", seed " << seed;
    }
  }
}

// The longest that crosses a wire is a segment.
TEST(Hosts, SegmentsAreThoseOfTheWires) {
  PlanOptions options;
  options.size = 8;
  options.placement = in_blocks(8, 2);
  const Plan plan(all_reduce(Algorithm::hierarchical, std::size_t{1} << 24), options);
  // Two shares; when halving among four hosts, the first put is half of one.
  EXPECT_EQ(plan.instance_count() * sizeof(double), 2 * 2 * options.segment_bytes);
  EXPECT_EQ(plan.peers(), (std::vector{1, 2, 4}));
}

// A block in one message needs no announcement; its pieces, whose sums come back, may be shorter.
TEST(Messages, CarryLongerBlocksThanPieces) {
  PlanOptions options;
  options.size = 2;
  options.eager_bytes = 4096;
  options.eager_piece_bytes = 2048;
  const auto eager = [&](Algorithm algorithm, std::size_t bytes) {
    return Plan(all_reduce(algorithm, bytes / sizeof(double)), options).eager();
  };
  EXPECT_TRUE(eager(Algorithm::one_shot, 4096));
  EXPECT_FALSE(eager(Algorithm::one_shot, 4104));
  EXPECT_TRUE(eager(Algorithm::direct, 4096));
  EXPECT_FALSE(eager(Algorithm::direct, 8192));
  options.eager_piece_bytes = 4096;
  EXPECT_TRUE(eager(Algorithm::direct, 8192));
}

/// How an output comes to be fetched.
enum class Fetched : std::uint8_t { always, in_turns };

class Fetching : public testing::TestWithParam<Fetched> {};

// A root reads nothing and copies nothing, and would be done before the others have what it gave:
// its caller could write over it.
TEST_P(Fetching, NoRankEndsBeforeItsPeersHaveWhatItGave) {
  constexpr std::size_t kCount = 700;
  const bool in_turns = GetParam() == Fetched::in_turns;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (const Algorithm algorithm :
         {Algorithm::binomial, Algorithm::direct, Algorithm::tree, Algorithm::scatter_all_gather}) {
      SimOptions o;
      o.ranks = in_turns ? 2 : 2 + static_cast<int>(seed % 4);
      o.seed = seed;
      o.extra_delay = 50'000;
      o.mappable = in_turns || seed % 2 == 0;
      o.gettable = !in_turns;
      o.ranks_per_host = o.ranks;
      if (!in_turns) {
        o.can_register = [](const transport::MemoryView& view) { return view.shareable_fd >= 0; };
      }
      PlanOptions plan = small_segments();
      plan.fetch_bytes = 64;
      plan.in_turns_bytes = 64;
      plan.lanes = 1 + static_cast<int>(seed % 3);
      SimWorld world(o, plan);
      const auto ranks = static_cast<std::size_t>(o.ranks);
      const int root = static_cast<int>(seed) % o.ranks;
      const Call call{
          Collective::broadcast, DataType::float64, ReduceOp::sum, algorithm, root, kCount};
      const std::vector<double> given(kCount, 0.5);
      std::vector<std::vector<double>> x(ranks, std::vector<double>(kCount, -1));
      x[static_cast<std::size_t>(root)] = given;
      std::vector<std::shared_ptr<memory::Region>> mapped;
      for (std::size_t r = 0; in_turns && r < ranks; ++r) {
        mapped.push_back(world.registrar(static_cast<int>(r))
                             .register_memory(x[r].data(), kCount * sizeof(double)));
      }
      std::vector<std::shared_ptr<Operation>> operations;
      for (std::size_t r = 0; r < ranks; ++r) {
        operations.push_back(world.engine(static_cast<int>(r)).submit(call, buffers(x[r], x[r])));
      }
      std::size_t ended = 0;
      while (ended < ranks) {
        world.poll_all();
        for (std::size_t r = 0; r < ranks; ++r) {
          if (operations[r] == nullptr || !operations[r]->finished()) continue;
          operations[r] = nullptr;
          ++ended;
          EXPECT_EQ(x[r], given) << to_string(algorithm) << ", rank " << r << ", seed " << seed;
          x[r].assign(kCount, -2);  // as its caller may
        }
        ASSERT_TRUE(world.fabric().advance() || ended == ranks) << "deadlock";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, Fetching, testing::Values(Fetched::always, Fetched::in_turns),
                         [](const auto& way) {
                           return way.param == Fetched::always ? "Always" : "InTurns";
                         });

TEST(Broadcast, EveryRootReachesEverybody) {
  for (const int ranks : {2, 3, 6, 8}) {
    SimOptions o;
    o.ranks = ranks;
    o.extra_delay = 3000;
    o.reorder = true;
    SimWorld world(o, small_segments());
    for (int root = 0; root < ranks; ++root) {
      for (const std::size_t count : {std::size_t{3}, std::size_t{40}, std::size_t{1000}}) {
        std::vector<std::vector<double>> x(static_cast<std::size_t>(ranks),
                                           std::vector<double>(count, -1));
        x[static_cast<std::size_t>(root)].assign(count, root + 0.5);
        for (int r = 0; r < ranks; ++r) {
          auto& mine = x[static_cast<std::size_t>(r)];
          const Call call{Collective::broadcast,
                          DataType::float64,
                          ReduceOp::sum,
                          Algorithm::binomial,
                          root,
                          count};
          (void)world.engine(r).submit(call, buffers(mine, mine));
        }
        ASSERT_TRUE(world.run());
        for (const auto& mine : x) EXPECT_EQ(mine, std::vector<double>(count, root + 0.5));
      }
    }
  }
}

TEST(Queue, OperationsOfDifferentKindsFollowEachOther) {
  SimOptions o;
  o.ranks = 4;
  o.extra_delay = 10'000;
  o.mailbox = 2;
  SimWorld world(o, small_segments());
  constexpr std::size_t kOps = 30;
  std::vector<std::vector<std::vector<double>>> x(4);
  for (int r = 0; r < 4; ++r) {
    for (std::size_t k = 0; k < kOps; ++k) {
      x[static_cast<std::size_t>(r)].emplace_back(1 + k * k % 700, static_cast<double>(k));
    }
  }
  const Algorithm algorithms[] = {Algorithm::ring, Algorithm::recursive_doubling,
                                  Algorithm::direct};
  for (int r = 0; r < 4; ++r) {
    for (std::size_t k = 0; k < kOps; ++k) {
      auto& mine = x[static_cast<std::size_t>(r)][k];
      (void)world.engine(r).submit(all_reduce(algorithms[k % 3], mine.size()), buffers(mine, mine));
    }
  }
  ASSERT_TRUE(world.run());
  for (const auto& rank : x) {
    for (std::size_t k = 0; k < kOps; ++k) {
      ASSERT_EQ(rank[k], std::vector<double>(rank[k].size(), 4 * static_cast<double>(k)));
    }
  }
}

TEST(Queue, KeepsAnOperationAliveUntilItHasEnded) {
  std::vector<double> x(4), y(4);
  std::weak_ptr<Operation> ends, fails, left;
  {
    SimOptions o;
    o.ranks = 2;
    SimWorld world(o, small_segments());
    ends = world.engine(0).submit(all_reduce(Algorithm::ring, 4), buffers(x, x));
    EXPECT_FALSE(ends.expired());
    (void)world.engine(1).submit(all_reduce(Algorithm::ring, 4), buffers(y, y));
    ASSERT_TRUE(world.run());
    EXPECT_TRUE(ends.expired());
    fails = world.engine(0).submit(all_reduce(Algorithm::ring, 4), buffers(x, x));
    left = world.engine(1).submit(all_reduce(Algorithm::ring, 4), buffers(y, y));
    world.engine(0).fail(Error(ErrorCode::aborted, "enough"));
    EXPECT_TRUE(fails.expired());
    EXPECT_FALSE(left.expired());
  }
  EXPECT_TRUE(left.expired());
}

// Eight bytes take one latency per round, and so many rounds as the paper says.
TEST(Time, RecursiveDoublingTakesTheLogarithmOfTheRanks) {
  for (const int ranks : {2, 8, 64, 256}) {
    SimOptions o;
    o.ranks = ranks;
    o.latency = 1000;
    o.nanoseconds_per_byte = 0;
    SimWorld world(o, PlanOptions{});
    check_all_reduce(world, Algorithm::recursive_doubling, 1, false);
    const double rounds = std::log2(ranks);
    EXPECT_EQ(static_cast<double>(world.fabric().now()), rounds * 1000) << ranks << " ranks";
  }
}

// A large ring moves 2 (p-1)/p of the vector over each link.
TEST(Time, RingIsBoundByTheLink) {
  constexpr int kRanks = 4;
  constexpr std::size_t kCount = 1 << 20;
  SimOptions o;
  o.ranks = kRanks;
  o.latency = 1000;
  o.nanoseconds_per_byte = 0.1;
  PlanOptions plan;
  plan.lanes = 4;
  SimWorld world(o, plan);
  check_all_reduce(world, Algorithm::ring, kCount, false);
  const double bound = 2.0 * (kRanks - 1) / kRanks * kCount * sizeof(double) * 0.1;
  EXPECT_GE(static_cast<double>(world.fabric().now()), bound);
  EXPECT_LE(static_cast<double>(world.fabric().now()), bound * 1.15);
}

TEST(Trouble, ADeadPeerIsNamed) {
  SimOptions o;
  o.ranks = 4;
  o.detection = kMillisecond;
  SimWorld world(o, small_segments());
  check_all_reduce(world, Algorithm::ring, 1000, false);
  std::vector<std::vector<double>> x(4, std::vector<double>(50'000, 1.0));
  for (int r = 0; r < 4; ++r) {
    auto& mine = x[static_cast<std::size_t>(r)];
    (void)world.engine(r).submit(all_reduce(Algorithm::ring, mine.size()), buffers(mine, mine));
  }
  world.fabric().kill_at(2, world.fabric().now() + 10'000);
  world.run();
  // The next in the ring waits for it; the others wait for living ranks, and learn of it over the
  // control tree, which the engine does not know.
  ASSERT_TRUE(world.error(3));
  EXPECT_EQ(world.error(3)->peer(), 2) << world.error(3)->what();
}

TEST(Trouble, ARankThatDoesNotComeIsWaitedForUntilTheDeadline) {
  SimOptions o;
  o.ranks = 3;
  SimWorld world(o, small_segments(), kSecond);
  std::vector<std::vector<double>> x(3, std::vector<double>(500, 1.0));
  for (const int r : {0, 1}) {
    auto& mine = x[static_cast<std::size_t>(r)];
    (void)world.engine(r).submit(all_reduce(Algorithm::ring, mine.size()), buffers(mine, mine));
    world.fabric().wake_at(r, kSecond / 2);
    world.fabric().wake_at(r, kSecond + kMillisecond);
  }
  world.run();
  for (const int r : {0, 1}) {
    ASSERT_TRUE(world.error(r));
    EXPECT_EQ(world.error(r)->code(), ErrorCode::timeout);
    EXPECT_EQ(world.error(r)->operation(), "all_reduce(500 x float64, sum)");
  }
  const std::string text = world.error(0)->what();
  EXPECT_NE(text.find("call #0 on rank 0 made no progress for 1000 ms"), std::string::npos) << text;
  // Who is to blame is for the communicator to find out, which can ask all ranks.
  const Vitals& vitals = world.engine(0).vitals();
  EXPECT_EQ(vitals.entered(), 1u);
  EXPECT_EQ(vitals.finished(), 0u);
  EXPECT_EQ(vitals.call_at(0), all_reduce(Algorithm::ring, 500));
  EXPECT_EQ(vitals.call_at(1), std::nullopt);
  EXPECT_GT(vitals.stand().since, 0);
  EXPECT_EQ(vitals.stand().phase, Phase::running);
  EXPECT_TRUE(vitals.stand().waiting_for == 1 || vitals.stand().waiting_for == 2);
  EXPECT_GT(vitals.stand().steps, 0u);
}

class Differing : public testing::TestWithParam<std::pair<std::size_t, std::size_t>> {};

// Whatever the two sizes, the sender compares before it writes.
TEST_P(Differing, CountsAreFoundBeforeAnythingIsWritten) {
  const auto [mine, theirs] = GetParam();
  SimOptions o;
  SimWorld world(o, small_segments());
  std::vector<double> a(mine + 8, 7.0), b(theirs + 8, 7.0);
  (void)world.engine(0).submit(all_reduce(Algorithm::recursive_doubling, mine), buffers(a, a));
  (void)world.engine(1).submit(all_reduce(Algorithm::recursive_doubling, theirs), buffers(b, b));
  world.run();
  for (int r : {0, 1}) {
    ASSERT_TRUE(world.error(r)) << "rank " << r;
    EXPECT_EQ(world.error(r)->code(), ErrorCode::mismatch) << world.error(r)->what();
    for (const std::size_t count : {mine, theirs}) {
      EXPECT_NE(std::string(world.error(r)->what()).find("(" + std::to_string(count) + " x"),
                std::string::npos)
          << world.error(r)->what();
    }
  }
  EXPECT_EQ(a, std::vector<double>(mine + 8, 7.0));
  EXPECT_EQ(b, std::vector<double>(theirs + 8, 7.0));
}

INSTANTIATE_TEST_SUITE_P(Counts, Differing,
                         testing::Values(std::pair<std::size_t, std::size_t>{2, 3},
                                         std::pair<std::size_t, std::size_t>{0, 3},
                                         std::pair<std::size_t, std::size_t>{2, 3000},
                                         std::pair<std::size_t, std::size_t>{3000, 3001},
                                         std::pair<std::size_t, std::size_t>{0, 3000}));

TEST(Trouble, AfterAFailureEverythingFails) {
  SimOptions o;
  SimWorld world(o, small_segments());
  std::vector<double> x(4);
  auto before = world.engine(0).submit(all_reduce(Algorithm::ring, 4), buffers(x, x));
  world.engine(0).fail(Error(ErrorCode::aborted, "enough"));
  auto after = world.engine(0).submit(all_reduce(Algorithm::ring, 4), buffers(x, x));
  for (const auto& operation : {before, after}) {
    ASSERT_TRUE(operation->finished());
    ASSERT_TRUE(operation->error());
    EXPECT_STREQ(operation->error()->what(), "enough");
    EXPECT_EQ(operation->error()->operation(), "all_reduce(4 x float64, sum)");
  }
  EXPECT_EQ(after->error()->sequence(), 1u);
}

}  // namespace
}  // namespace paceline::engine
