// Life after an error, with ranks as threads: who is left, and new communicators of them, again and
// again without leaving anything behind.
#include <dirent.h>

#include <atomic>
#include <fstream>
#include <set>

#include "support/world.h"

namespace paceline {
namespace {

using testing_support::expect_error;
using testing_support::patience;
using testing_support::run_world;

void expect_sum_works(Communicator& comm) {
  for (const std::size_t count : {std::size_t{1}, std::size_t{50'000}}) {
    std::vector<float> x(count, static_cast<float>(comm.rank() + 1));
    comm.all_reduce(std::span<float>(x), ReduceOp::sum);
    const auto n = static_cast<float>(comm.size());
    EXPECT_EQ(x.front(), n * (n + 1) / 2);
    EXPECT_EQ(x.back(), x.front());
  }
}

/// Fails a communicator on all ranks; one of them gives it up, once the others have done all that
/// came before: news overtakes data.
void give_up(Communicator& comm, int rank) {
  (void)expect_error([&] {
    for (int i = 0;; ++i) {
      comm.barrier();
      if (i == 1 && comm.rank() == rank) comm.abort("for the test");
    }
  });
}

class Wires : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, Wires, testing::Values("shm", "tcp"),
                         [](const auto& param) { return param.param; });

TEST_P(Wires, AnAbortedCommunicatorShrinksToAllOfItsRanks) {
  run_world(
      4,
      [](Communicator& comm) {
        expect_sum_works(comm);
        give_up(comm, 2);
        EXPECT_EQ(comm.survivors(), (std::vector<int>{0, 1, 2, 3}));
        Communicator next = comm.shrink();
        EXPECT_EQ(next.rank(), comm.rank());
        EXPECT_EQ(next.size(), 4);
        expect_sum_works(next);
        EXPECT_TRUE(comm.failed());
        EXPECT_FALSE(next.failed());
      },
      [](Config& config) { config.transports = {GetParam()}; });
}

TEST_P(Wires, RanksThatHaveLeftAreNotAmongTheSurvivors) {
  std::atomic<int> left = 0;
  run_world(
      5,
      [&](Communicator& comm) {
        expect_sum_works(comm);
        comm.barrier();
        if (comm.rank() == 0 || comm.rank() == 3) {
          { const Communicator gone = std::move(comm); }
          ++left;
          return;
        }
        while (left < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        if (comm.rank() == 1) comm.abort();
        (void)expect_error([&] { comm.barrier(); });
        Communicator next = comm.shrink();
        ASSERT_EQ(next.size(), 3);
        EXPECT_EQ(next.rank(), comm.rank() == 4 ? 2 : comm.rank() - 1);
        expect_sum_works(next);
      },
      [](Config& config) { config.transports = {GetParam()}; });
}

TEST(Survivors, OfAWorkingCommunicatorAreRefused) {
  run_world(2, [](Communicator& comm) {
    EXPECT_EQ(expect_error([&] { (void)comm.survivors(); }).code(), ErrorCode::invalid_argument);
    EXPECT_EQ(expect_error([&] { (void)comm.shrink(); }).code(), ErrorCode::invalid_argument);
    expect_sum_works(comm);
  });
}

TEST(Survivors, OfOneIsThatOne) {
  Communicator comm = Communicator::create(Config{});
  comm.abort();
  EXPECT_EQ(comm.survivors(), (std::vector<int>{0}));
  Communicator next = comm.shrink();
  expect_sum_works(next);
}

TEST(Survivors, ALateRankIsLeftOutAndToldSo) {
  run_world(
      3,
      [](Communicator& comm) {
        expect_sum_works(comm);
        give_up(comm, 0);
        if (comm.rank() == 1) {
          std::this_thread::sleep_for(patience(std::chrono::seconds(5)));
          const Error error = expect_error([&] { (void)comm.shrink(); });
          EXPECT_EQ(error.code(), ErrorCode::peer_failed);
          EXPECT_NE(std::string(error.what()).find("not among the survivors"), std::string::npos);
          return;
        }
        Communicator next = comm.shrink();
        EXPECT_EQ(next.size(), 2);
        expect_sum_works(next);
        // What is left of the old one is needed until the late rank has heard.
        std::this_thread::sleep_for(patience(std::chrono::seconds(4)));
      },
      [](Config& config) { config.timeout = patience(std::chrono::seconds(2)); });
}

// The place of a rank that is gone is taken by a new one, which knows nothing of what was before:
// all meet in the store, under a name that is new.
TEST(Survivors, MayGoOnWithReplacementsThroughAStore) {
  const auto store = make_process_store();
  const auto member = [&](int rank, const std::string& name) {
    Config config = testing_support::test_config();
    config.rank = rank;
    config.size = 3;
    return Communicator::create(config, store, name);
  };
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 3; ++rank) {
    ranks.emplace_back([&, rank] {
      {
        Communicator comm = member(rank, "first");
        expect_sum_works(comm);
        give_up(comm, 2);
      }
      if (rank == 2) return;
      Communicator next = member(rank, "second");
      expect_sum_works(next);
    });
  }
  std::thread replacement([&] {
    Communicator comm = member(2, "second");
    expect_sum_works(comm);
  });
  for (std::thread& rank : ranks) rank.join();
  replacement.join();
}

/// Threads, open files and mappings of this process.
struct Footprint {
  std::size_t threads = 0;
  std::size_t files = 0;
  std::size_t mappings = 0;

  static std::size_t entries(const char* directory) {
    std::size_t count = 0;
    DIR* const dir = ::opendir(directory);
    while (::readdir(dir) != nullptr) ++count;
    ::closedir(dir);
    return count;
  }
  static Footprint now() {
    std::ifstream maps("/proc/self/maps");
    std::size_t lines = 0;
    for (std::string line; std::getline(maps, line);) ++lines;
    return {entries("/proc/self/task"), entries("/proc/self/fd"), lines};
  }
};

// Each rank makes the next communicator out of the failed one, a hundred times. Every one has
// links, memory that peers map, and scratch.
TEST_P(Wires, AHundredTimesLeavesNothingBehind) {
  Footprint early;
  Footprint late;
  run_world(
      3,
      [&](Communicator& first) {
        Communicator comm = std::move(first);
        for (int round = 0; round < 100; ++round) {
          {
            Memory memory = comm.allocate(100'000);
            comm.all_reduce(memory.as<float>(), ReduceOp::sum);
          }
          give_up(comm, round % 3);
          comm = comm.shrink();
          comm.barrier();
          if (comm.rank() != 0) continue;
          if (round == 9) early = Footprint::now();
          if (round == 99) late = Footprint::now();
        }
        expect_sum_works(comm);
        first = Communicator::create(Config{});
      },
      [](Config& config) { config.transports = {GetParam()}; });
  EXPECT_EQ(late.threads, early.threads);
  // Others may be in the middle of making or closing a link when one looks.
  EXPECT_LT(late.files, early.files + 12);
  EXPECT_LT(late.mappings, early.mappings + 24);
}

}  // namespace
}  // namespace paceline
