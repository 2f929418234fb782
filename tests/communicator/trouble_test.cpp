// What goes wrong: bad arguments, ranks that differ, abort, time-outs. Every text names what was
// given and by whom, and nobody hangs.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <limits>
#include <optional>
#include <utility>

#include "support/world.h"

namespace paceline {
namespace {

using testing_support::expect_error;
using testing_support::patience;
using testing_support::run_world;

bool has(const Error& error, const std::string& part) {
  return std::string(error.what()).find(part) != std::string::npos;
}

TEST(BadArguments, AreRefusedBeforeAnythingIsSentAndLeaveTheCommunicatorUsable) {
  run_world(2, [](Communicator& comm) {
    std::vector<float> x(16, 1.f);
    const auto refused = [&](const std::string& part, const std::function<void()>& call) {
      const Error error = expect_error(call);
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
      EXPECT_TRUE(has(error, part)) << error.what();
    };
    if (comm.rank() == 0) {
      refused("in is null for 3 elements",
              [&] { comm.all_reduce(nullptr, x.data(), 3, DataType::float32, ReduceOp::sum); });
      refused("out is null",
              [&] { comm.all_reduce(x.data(), nullptr, 3, DataType::float32, ReduceOp::sum); });
      refused("not a multiple of 4", [&] {
        auto* odd = reinterpret_cast<std::byte*>(x.data()) + 1;
        comm.all_reduce(odd, odd, 3, DataType::float32, ReduceOp::sum);
      });
      refused("overlap: they start 4 bytes apart", [&] {
        comm.all_reduce(x.data(), x.data() + 1, 3, DataType::float32, ReduceOp::sum);
      });
      refused("type 77 is not a DataType", [&] {
        comm.all_reduce(x.data(), x.data(), 3, static_cast<DataType>(77), ReduceOp::sum);
      });
      refused("operation 0 is not a ReduceOp", [&] {
        comm.all_reduce(x.data(), x.data(), 3, DataType::float32, static_cast<ReduceOp>(0));
      });
      refused("float8_e5m2 (12) and bool (13) are", [&] {
        comm.all_reduce(x.data(), x.data(), 3, static_cast<DataType>(14), ReduceOp::sum);
      });
      refused("bor of float32 is not offered: sum, prod, min and max combine every type",
              [&] { comm.all_reduce(x.data(), x.data(), 3, DataType::float32, ReduceOp::bor); });
      refused("avg of bool is not offered",
              [&] { comm.all_reduce(x.data(), x.data(), 3, DataType::boolean, ReduceOp::avg); });
      refused("give Reduction::premul_sum(factor)", [&] {
        comm.all_reduce(x.data(), x.data(), 3, DataType::float32, ReduceOp::premul_sum);
      });
      refused("not a multiple of 2, the size of bfloat16", [&] {
        auto* odd = reinterpret_cast<std::byte*>(x.data()) + 1;
        comm.all_reduce(odd, odd, 3, DataType::bfloat16, ReduceOp::sum);
      });
      refused("root 2 is not a rank", [&] { comm.broadcast(x.data(), 3, DataType::float32, 2); });
      refused("root -1 is not a rank", [&] { comm.broadcast(x.data(), 3, DataType::float32, -1); });
      refused("does not fit into memory", [&] {
        comm.all_reduce(x.data(), x.data(), std::numeric_limits<std::size_t>::max(),
                        DataType::float32, ReduceOp::sum);
      });
      refused("spans of the same length", [&] {
        comm.all_reduce(std::span<const float>(x).first(3), std::span<float>(x).last(4),
                        ReduceOp::sum);
      });
    }
    comm.all_reduce(std::span<float>(x), ReduceOp::sum);
    EXPECT_EQ(x[3], 2.f);
  });
}

struct Mismatch {
  std::string name;
  std::function<void(Communicator&, std::vector<float>&)> good;
  std::function<void(Communicator&, std::vector<float>&)> bad;
  std::vector<std::string> parts;
};

std::ostream& operator<<(std::ostream& out, const Mismatch& m) {
  return out << m.name;
}

class Mismatched : public testing::TestWithParam<std::tuple<Mismatch, int, std::string>> {};

// The last rank calls something else. Everybody fails, with both calls in the text, and no buffer
// has a byte changed behind its end.
TEST_P(Mismatched, EverybodyHearsOfBothCalls) {
  const auto& [mismatch, size, wire] = GetParam();
  std::atomic<int> named{0};
  const int last = size - 1;
  run_world(
      size,
      [&, &m = mismatch](Communicator& comm) {
        std::vector<float> x(100'000, 5.f);
        const Error error = expect_error([&] {
          comm.barrier();  // the news may overtake a rank that is still in here
          (comm.rank() == last ? m.bad : m.good)(comm, x);
          comm.barrier();  // a rank that was done before may learn of it here
        });
        bool all = true;
        for (const std::string& part : m.parts) all &= has(error, part);
        if (all) ++named;
        EXPECT_TRUE(error.code() == ErrorCode::mismatch) << error.what();
        EXPECT_TRUE(all) << "rank " << comm.rank() << ": " << error.what();
        EXPECT_EQ(x.back(), 5.f);
        EXPECT_TRUE(comm.failed());
        const Error again = expect_error([&] { comm.barrier(); });
        EXPECT_STREQ(again.what(), error.what());
      },
      [&, &w = wire](Config& config) {
        config.transports = {w};
        config.timeout = std::chrono::seconds(20);
      });
  EXPECT_EQ(named.load(), size);
}

std::vector<Mismatch> mismatches() {
  const auto all_reduce = [](std::size_t count, ReduceOp op = ReduceOp::sum) {
    return [count, op](Communicator& comm, std::vector<float>& x) {
      comm.all_reduce(x.data(), x.data(), count, DataType::float32, op);
    };
  };
  const auto broadcast = [](int root) {
    return [root](Communicator& comm, std::vector<float>& x) {
      comm.broadcast(x.data(), 4, DataType::float32, root);
    };
  };
  const auto all_gather = [](std::size_t count) {
    return [count](Communicator& comm, std::vector<float>& x) {
      comm.all_gather(x.data(), x.data() + 50'000, count, DataType::float32);
    };
  };
  const auto all_to_all = [](std::size_t count) {
    return [count](Communicator& comm, std::vector<float>& x) {
      comm.all_to_all(x.data(), x.data() + 50'000, count, DataType::float32);
    };
  };
  const auto gather = [](int root) {
    return [root](Communicator& comm, std::vector<float>& x) {
      comm.gather(x.data(), x.data() + 50'000, 9'000, DataType::float32, root);
    };
  };
  return {
      {"count", all_reduce(2), all_reduce(3), {"(2 x float32, sum)", "(3 x float32, sum)"}},
      {"large_count",
       all_reduce(50'000),
       all_reduce(60'000),
       {"(50000 x float32, sum)", "(60000 x float32, sum)"}},
      {"small_and_large",
       all_reduce(2),
       all_reduce(60'000),
       {"(2 x float32, sum)", "(60000 x float32, sum)"}},
      {"zero_and_not_zero",
       all_reduce(0),
       all_reduce(3),
       {"(0 x float32, sum)", "(3 x float32, sum)"}},
      {"operation",
       all_reduce(9),
       all_reduce(9, ReduceOp::max),
       {"(9 x float32, sum)", "(9 x float32, max)"}},
      {"type",
       all_reduce(4),
       [](Communicator& comm, std::vector<float>& x) {
         comm.all_reduce(x.data(), x.data(), 4, DataType::int32, ReduceOp::sum);
       },
       {"(4 x float32, sum)", "(4 x int32, sum)"}},
      {"collective",
       all_reduce(4),
       broadcast(0),
       {"all_reduce(4 x float32, sum)", "broadcast(4 x float32, root 0)"}},
      {"all_gather_for_all_reduce",
       all_reduce(4),
       all_gather(4),
       {"all_reduce(4 x float32, sum)", "all_gather(4 x float32 per rank)"}},
      {"block",
       all_gather(100),
       all_gather(101),
       {"(100 x float32 per rank)", "(101 x float32 per rank)"}},
      {"large_block",
       all_to_all(10'000),
       all_to_all(10'001),
       {"(10000 x float32 per rank)", "(10001 x float32 per rank)"}},
      {"root", broadcast(0), broadcast(1), {"(4 x float32, root 0)", "(4 x float32, root 1)"}},
      {"root_of_large_blocks",
       gather(0),
       gather(1),
       {"(9000 x float32 per rank, root 0)", "(9000 x float32 per rank, root 1)"}},
  };
}

INSTANTIATE_TEST_SUITE_P(Calls, Mismatched,
                         testing::Combine(testing::ValuesIn(mismatches()), testing::Values(2, 3, 4),
                                          testing::Values("shm", "tcp")),
                         [](const auto& param) {
                           return std::get<0>(param.param).name + "_" +
                                  std::to_string(std::get<1>(param.param)) + "_" +
                                  std::get<2>(param.param);
                         });

TEST(Abort, EndsEveryRanksWait) {
  std::atomic<int> inside{0};
  run_world(3, [&](Communicator& comm) {
    comm.barrier();
    if (comm.rank() == 1) {
      // The others are to be found in their call.
      while (inside < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      comm.abort("the loss is NaN");
      const Error error = expect_error([&] { comm.barrier(); });
      EXPECT_EQ(error.code(), ErrorCode::aborted);
      return;
    }
    // It asks from within a call only.
    comm.while_waiting([&, counted = false]() mutable {
      if (!std::exchange(counted, true)) ++inside;
      return std::string();
    });
    std::vector<float> x(100'000);
    const Error error = expect_error([&] { comm.all_reduce(std::span<float>(x), ReduceOp::sum); });
    EXPECT_EQ(error.code(), ErrorCode::aborted) << error.what();
    EXPECT_TRUE(has(error, "the loss is NaN")) << error.what();
    EXPECT_EQ(error.peer(), 1);
    EXPECT_EQ(error.operation(), "all_reduce(100000 x float32, sum)");
  });
}

// The Error may end the program, so the trace is there before it, also where the failure was heard
// of between two calls: the next call throws at once, or a wait for one that is over by then.
TEST(Abort, HeardOfBetweenCallsLeavesATraceBeforeTheErrorIsThrown) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("trouble-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  for (const bool started : {false, true}) {
    std::atomic<bool> waits = false;
    run_world(
        2,
        [&](Communicator& comm) {
          if (comm.rank() == 1) {
            while (!waits) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            return comm.abort();
          }
          std::vector<float> x(100'000);
          std::optional<Work> work;
          if (started) work = comm.all_reduce_async(std::span<float>(x), ReduceOp::sum);
          waits = true;
          while (!comm.failed() || (work && !work->done())) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
          }
          expect_error([&] { work ? work->wait() : comm.barrier(); });
          EXPECT_TRUE(std::filesystem::exists(folder / (started ? "1.0" : "0.0")));
        },
        [&](Config& config) {
          config.trace_file = (folder / (started ? "1.%r" : "0.%r")).string();
        });
  }
  std::filesystem::remove_all(folder);
}

TEST(Abort, FromAnotherThreadWhileWaiting) {
  run_world(2, [](Communicator& comm) {
    comm.barrier();
    if (comm.rank() == 1) {
      while (!comm.failed()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const Error error = expect_error([&] { comm.barrier(); });
      EXPECT_EQ(error.code(), ErrorCode::aborted) << error.what();
      return;
    }
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      comm.abort();
    });
    // Rank 1 never calls this.
    float x[70'000] = {};
    const Error error = expect_error([&] {
      Work work = comm.all_reduce_async(std::span<float>(x), ReduceOp::sum);
      work.wait();
    });
    other.join();
    EXPECT_EQ(error.code(), ErrorCode::aborted) << error.what();
  });
}

TEST(Timeout, NamesWhoDidNotComeAndWhatWasCalled) {
  const auto begin = std::chrono::steady_clock::now();
  run_world(
      3,
      [](Communicator& comm) {
        comm.barrier();
        if (comm.rank() == 2) {  // comes too late
          std::this_thread::sleep_for(patience(std::chrono::seconds(5)));
          const Error error = expect_error([&] { comm.barrier(); });
          EXPECT_EQ(error.code(), ErrorCode::timeout) << error.what();
          return;
        }
        std::vector<float> x(30'000);
        const Error error =
            expect_error([&] { comm.all_reduce(std::span<float>(x), ReduceOp::sum); });
        EXPECT_EQ(error.code(), ErrorCode::timeout) << error.what();
        EXPECT_TRUE(has(error, "rank 2 (")) << error.what();
        EXPECT_TRUE(has(error,
                        "has not made call #1, all_reduce(30000 x float32, sum), in which "
                        "ranks 0 and 1 wait"))
            << error.what();
        EXPECT_TRUE(has(error, "finished call #0, barrier(), and made none since")) << error.what();
        EXPECT_EQ(error.peer(), 2);
      },
      [](Config& config) { config.timeout = patience(std::chrono::seconds(2)); });
  EXPECT_LT(std::chrono::steady_clock::now() - begin, patience(std::chrono::seconds(15)));
}

TEST(Leaving, ARankThatIsDoneMayGoWhileOthersFinish) {
  for (int round = 0; round < 20; ++round) {
    run_world(4, [](Communicator& comm) {
      std::vector<float> x(5000, 1.f);
      comm.all_reduce(std::span<float>(x), ReduceOp::sum);
      EXPECT_EQ(x[4999], 4.f);
      comm.barrier();
    });
  }
}

// Whether it has a wire to those who wait or not, and whether it goes before they call or after.
TEST(Leaving, TooEarlyIsSaidByEverybody) {
  for (const bool linked : {true, false}) {
    for (const std::string wire : {"shm", "tcp"}) {
      run_world(
          5,
          [&](Communicator& comm) {
            std::vector<float> x(30'000);
            if (linked) comm.all_reduce(std::span<float>(x), ReduceOp::sum);
            if (comm.rank() == 3) return;
            const Error error =
                expect_error([&] { comm.all_reduce(std::span<float>(x), ReduceOp::sum); });
            EXPECT_EQ(error.code(), ErrorCode::peer_failed) << error.what();
            EXPECT_TRUE(has(error, "rank 3 (")) << error.what();
            EXPECT_TRUE(has(error, "has left the communicator")) << error.what();
            EXPECT_EQ(error.peer(), 3);
          },
          [&](Config& config) {
            // Without a wire to rank 3, only asking tells.
            config.timeout = linked ? std::chrono::seconds(60) : patience(std::chrono::seconds(2));
            config.transports = {wire};
          });
    }
  }
}

TEST(Leaving, WorkThatNobodyWaitedForFailsWithTheReason) {
  run_world(2, [](Communicator& comm) {
    if (comm.rank() == 1) return;
    std::vector<float> x(100'000);
    auto other = std::make_unique<Communicator>(std::move(comm));
    Work work = other->all_reduce_async(std::span<float>(x), ReduceOp::sum);
    other.reset();
    const Error error = expect_error([&] { work.wait(); });
    EXPECT_NE(error.code(), ErrorCode::internal) << error.what();
    comm = Communicator::create(Config{});
  });
}

TEST(Alone, OneRankNeedsNobody) {
  Communicator comm = Communicator::create(Config{});
  std::vector<float> in(1000, 2.f), out(1000);
  comm.all_reduce(std::span<const float>(in), std::span<float>(out), ReduceOp::sum);
  EXPECT_EQ(in, out);
  comm.all_reduce(std::span<float>(in), ReduceOp::prod);
  EXPECT_EQ(in, out);
  comm.barrier();
  comm.broadcast(std::span<float>(in), 0);
  comm.abort("enough");
  EXPECT_EQ(expect_error([&] { comm.barrier(); }).code(), ErrorCode::aborted);
}

TEST(SeveralCommunicators, LiveInOneProcessSideBySide) {
  const auto store = make_process_store();
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 2; ++rank) {
    ranks.emplace_back([&, rank] {
      Config config = testing_support::test_config();
      config.rank = rank;
      config.size = 2;
      Communicator a = Communicator::create(config, store, "a");
      Communicator b = Communicator::create(config, store, "b");
      for (int i = 0; i < 50; ++i) {
        float x = 1.f;
        a.all_reduce(std::span<float>(&x, 1), ReduceOp::sum);
        b.all_reduce(std::span<float>(&x, 1), ReduceOp::sum);
        ASSERT_EQ(x, 4.f);
      }
    });
  }
  for (auto& rank : ranks) rank.join();
}

}  // namespace
}  // namespace paceline
