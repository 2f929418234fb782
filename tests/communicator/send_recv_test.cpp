// send and recv over every wire that this machine has without RDMA, in every kind of memory: what
// arrives, in which order, beside collectives; and what is said when something goes wrong.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "support/world.h"

namespace paceline {
namespace {

using testing_support::expect_error;
using testing_support::patience;
using testing_support::run_world;

constexpr std::int32_t kUntouched = 0x7abcdef1;

bool has(const Error& error, const std::string& part) {
  return std::string(error.what()).find(part) != std::string::npos;
}

std::vector<std::int32_t> values(int seed, std::size_t count) {
  std::vector<std::int32_t> data(count);
  std::iota(data.begin(), data.end(), seed % 2000 * 1'000'003);  // fits
  return data;
}

enum class Kind { plain, registered, allocated };

/// Elements of any kind of memory, with one behind them that nobody may touch.
class Buffer {
 public:
  Buffer(Communicator& comm, Kind kind, std::size_t count) : count_(count) {
    const std::size_t bytes = (count + 1) * sizeof(std::int32_t);
    if (kind == Kind::allocated) {
      memory_ = comm.allocate(bytes);
      data_ = memory_.as<std::int32_t>().data();
    } else {
      plain_.resize(count + 1);
      data_ = plain_.data();
      if (kind == Kind::registered) memory_ = comm.register_memory(data_, bytes);
    }
    std::fill(data_, data_ + count + 1, kUntouched);
  }
  [[nodiscard]] std::span<std::int32_t> span() const { return {data_, count_}; }
  void expect(const std::vector<std::int32_t>& wanted) const {
    ASSERT_TRUE(std::equal(wanted.begin(), wanted.end(), data_)) << count_ << " elements";
    ASSERT_EQ(data_[count_], kUntouched);
  }

 private:
  std::size_t count_;
  std::vector<std::int32_t> plain_;
  Memory memory_;
  std::int32_t* data_ = nullptr;
};

class SendRecv : public testing::TestWithParam<std::string> {
 protected:
  static void run(int size, const std::function<void(Communicator&)>& body) {
    run_world(size, body, [](Config& config) { config.transports = {GetParam()}; });
  }
  /// For run_world: what rank 0 waits for comes too late for it, and for nobody else.
  static void only_rank_0_asks(Config& config) {
    config.transports = {GetParam()};
    if (config.rank == 0) config.timeout = patience(std::chrono::seconds(2));
  }
};
INSTANTIATE_TEST_SUITE_P(Wires, SendRecv, testing::Values("shm", "tcp"),
                         [](const auto& param) { return param.param; });

TEST_P(SendRecv, EverySizeFromEveryMemoryIntoEveryMemory) {
  run(3, [](Communicator& comm) {
    const int next = (comm.rank() + 1) % 3;
    const int previous = (comm.rank() + 2) % 3;
    int turn = 0;
    for (const std::size_t count :
         {0u, 1u, 2u, 1000u, 1023u, 1024u, 1025u, 8192u, 8193u, 100'000u, 262'144u}) {
      for (const Kind from : {Kind::plain, Kind::registered, Kind::allocated}) {
        for (const Kind to : {Kind::plain, Kind::registered, Kind::allocated}) {
          const Buffer out(comm, from, count);
          const Buffer in(comm, to, count);
          const auto mine = values(turn * 3 + comm.rank(), count);
          std::copy(mine.begin(), mine.end(), out.span().begin());
          Work sent = comm.send_async(out.span(), next, turn);
          comm.recv(in.span(), previous, turn);
          sent.wait();
          in.expect(values(turn * 3 + previous, count));
          out.expect(mine);
          ++turn;
          if (testing::Test::HasFatalFailure()) return;
        }
      }
    }
  });
}

TEST_P(SendRecv, ToOneself) {
  run(1, [](Communicator& comm) {
    const auto small = values(1, 10), large = values(2, 50'000);
    std::vector<std::int32_t> small_in(10), large_in(50'000);
    comm.send(std::span(small), 0);
    comm.recv(std::span(small_in), 0);
    EXPECT_EQ(small_in, small);
    Work received = comm.recv_async(std::span(large_in), 0, 7);
    comm.send(std::span(large), 0, 7);
    received.wait();
    EXPECT_EQ(large_in, large);
    Work sent = comm.send_async(std::span(large), 0);
    std::fill(large_in.begin(), large_in.end(), 0);
    comm.recv(std::span(large_in), 0);
    sent.wait();
    EXPECT_EQ(large_in, large);
  });
}

// Within a tag the order of the calls, between tags none.
TEST_P(SendRecv, TagsAreApartAndInOrder) {
  run(2, [](Communicator& comm) {
    constexpr int kTags = 5;
    constexpr int kEach = 30;
    const auto count = [](int tag, int i) {
      return static_cast<std::size_t>((tag * 7 + i * 131) % 3000);
    };
    if (comm.rank() == 0) {
      std::vector<std::vector<std::int32_t>> data;
      for (int i = 0; i < kEach; ++i) {
        for (int tag = 0; tag < kTags; ++tag) data.push_back(values(tag + 100 * i, count(tag, i)));
      }
      std::vector<Work> works;
      for (std::size_t k = 0; k < data.size(); ++k) {
        works.push_back(comm.send_async(std::span(data[k]), 1, static_cast<int>(k % kTags)));
      }
      for (Work& work : works) work.wait();
    } else {
      for (int tag = kTags - 1; tag >= 0; --tag) {
        for (int i = 0; i < kEach; ++i) {
          std::vector<std::int32_t> in(count(tag, i));
          comm.recv(std::span(in), 0, tag);
          ASSERT_EQ(in, values(tag + 100 * i, in.size())) << "tag " << tag << ", number " << i;
        }
      }
    }
  });
}

TEST_P(SendRecv, ManyAreUnderWayBetweenAllRanks) {
  run(4, [](Communicator& comm) {
    constexpr int kRounds = 60;
    std::vector<std::vector<std::int32_t>> out, in;
    std::vector<Work> works;
    out.reserve(kRounds * 4);
    in.reserve(kRounds * 4);
    for (int round = 0; round < kRounds; ++round) {
      for (int peer = 0; peer < 4; ++peer) {
        const auto count = static_cast<std::size_t>(round * round * 3);
        in.emplace_back(count);
        works.push_back(comm.recv_async(std::span(in.back()), peer, round % 3));
        out.push_back(values(comm.rank() * 4 + peer + round * 16, count));
        works.push_back(comm.send_async(std::span(out.back()), peer, round % 3));
      }
    }
    for (Work& work : works) work.wait();
    for (int round = 0; round < kRounds; ++round) {
      for (int peer = 0; peer < 4; ++peer) {
        const auto& got = in[static_cast<std::size_t>(round * 4 + peer)];
        ASSERT_EQ(got, values(peer * 4 + comm.rank() + round * 16, got.size()));
      }
    }
  });
}

TEST_P(SendRecv, CollectivesGoOnBesideThem) {
  run(3, [](Communicator& comm) {
    const int rank = comm.rank();
    // A recv waits all the time.
    std::vector<std::int32_t> late(20'000);
    Work waiting = comm.recv_async(std::span(late), (rank + 2) % 3, 99);
    for (int round = 0; round < 20; ++round) {
      std::vector<float> x(round % 2 == 0 ? 5 : 30'000, static_cast<float>(rank));
      // Started on some ranks before, on others after they send and receive.
      Work reduced;
      if (rank == 0) reduced = comm.all_reduce_async(std::span(x), ReduceOp::sum);
      const auto out = values(rank, static_cast<std::size_t>(round * 997));
      std::vector<std::int32_t> in(out.size());
      Work sent = comm.send_async(std::span(out), (rank + 1) % 3);
      comm.recv(std::span(in), (rank + 2) % 3);
      ASSERT_EQ(in, values((rank + 2) % 3, in.size()));
      if (rank != 0) reduced = comm.all_reduce_async(std::span(x), ReduceOp::sum);
      reduced.wait();
      sent.wait();
      ASSERT_EQ(x, std::vector<float>(x.size(), 3.f));
    }
    EXPECT_FALSE(waiting.done());
    comm.barrier();  // nobody sends before all have looked
    const auto out = values(rank, late.size());
    Work sent = comm.send_async(std::span(out), (rank + 1) % 3, 99);
    waiting.wait();
    sent.wait();
    EXPECT_EQ(late, values((rank + 2) % 3, late.size()));
    comm.barrier();
  });
}

// Rank 1 waits for rank 2, which waits for what rank 0 sends after its first message to rank 1.
TEST_P(SendRecv, ASmallSendDoesNotWaitForItsRecv) {
  run(3, [](Communicator& comm) {
    std::int32_t x = comm.rank();
    const std::span<std::int32_t> one(&x, 1);
    if (comm.rank() == 0) {
      comm.send(one, 1);
      comm.send(one, 2);
    } else if (comm.rank() == 1) {
      comm.recv(one, 2);
      EXPECT_EQ(x, 0);
      comm.recv(one, 0);
    } else {
      comm.recv(one, 0);
      comm.send(one, 1);
    }
    EXPECT_EQ(x, 0);
  });
}

// The data is there though its sender is gone.
TEST_P(SendRecv, ASenderMayLeaveWhenItIsDone) {
  for (const std::size_t count : {3u, 200'000u}) {
    run(2, [count](Communicator& comm) {
      std::vector<std::int32_t> x = values(comm.rank(), count);
      if (comm.rank() == 0) {
        comm.send(std::span(x), 1);
        return;
      }
      if (count < 1000) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      comm.recv(std::span(x), 0);
      EXPECT_EQ(x, values(0, count));
    });
  }
}

TEST_P(SendRecv, NobodyNeedsToWaitForAsynchronousOnes) {
  run(2, [](Communicator& comm) {
    std::vector<std::int32_t> x = values(comm.rank(), 70'000);
    const auto mine = x;
    std::vector<std::int32_t> in(x.size());
    Work sent = comm.send_async(std::span(x), 1 - comm.rank());
    Work received = comm.recv_async(std::span(in), 1 - comm.rank());
    while (!sent.done() || !received.done()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(in, values(1 - comm.rank(), in.size()));
    EXPECT_EQ(x, mine);
  });
}

TEST_P(SendRecv, BadArgumentsLeaveTheCommunicatorUsable) {
  run(2, [](Communicator& comm) {
    std::vector<float> x(8, 1.f);
    const auto refused = [&](const std::string& part, const std::function<void()>& call) {
      const Error error = expect_error(call);
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
      EXPECT_TRUE(has(error, part)) << error.what();
    };
    refused("peer 2 is not a rank of this communicator: 0 to 1 are",
            [&] { comm.send(x.data(), 8, DataType::float32, 2); });
    refused("peer -1 is not", [&] { comm.recv(x.data(), 8, DataType::float32, -1); });
    refused("tag -5 is negative", [&] { comm.recv(x.data(), 8, DataType::float32, 0, -5); });
    refused("buffer is null for 8", [&] { comm.send(nullptr, 8, DataType::float32, 1); });
    refused("type 77 is not a DataType",
            [&] { comm.send(x.data(), 8, static_cast<DataType>(77), 1); });
    refused("does not fit into memory",
            [&] { comm.recv(x.data(), ~std::size_t{0} / 2, DataType::float32, 1); });
    refused("not a multiple of 4", [&] {
      comm.send(reinterpret_cast<std::byte*>(x.data()) + 1, 1, DataType::float32, 1);
    });
    EXPECT_FALSE(comm.failed());
    Work sent = comm.send_async(std::span(x), 1 - comm.rank());
    std::vector<float> y(8);
    comm.recv(std::span(y), 1 - comm.rank());
    sent.wait();
    EXPECT_EQ(y, x);
    Work nothing = comm.recv_async(nullptr, 0, DataType::float32, comm.rank());
    comm.send(nullptr, 0, DataType::float32, comm.rank());
    nothing.wait();
  });
}

TEST_P(SendRecv, AMismatchNamesBothCallsOnEveryRankAndWritesNothing) {
  struct Ends {
    std::size_t sent;
    std::size_t expected;
    bool other_type;
  };
  for (const Ends ends : {Ends{5, 6, false},
                          {5, 60'000, false},
                          {60'000, 5, false},
                          {60'000, 60'001, false},
                          {7, 7, true},
                          {50'000, 50'000, true}}) {
    for (const bool late : {false, true}) {
      run(3, [&](Communicator& comm) {
        std::vector<float> out(ends.sent, 1.f);
        std::vector<float> in(std::max(ends.sent, ends.expected), -1.f);
        const DataType type = ends.other_type ? DataType::int32 : DataType::float32;
        const Error error = expect_error([&] {
          if (comm.rank() == 0) {
            comm.send(std::span(out), 1, 4);
            comm.barrier();
          } else if (comm.rank() == 1) {
            if (late) std::this_thread::sleep_for(std::chrono::milliseconds(20));
            comm.recv(in.data(), ends.expected, type, 0, 4);
          } else {
            comm.barrier();
          }
        });
        EXPECT_EQ(error.code(), ErrorCode::mismatch) << error.what();
        EXPECT_TRUE(has(error, "rank 0 (")) << error.what();
        EXPECT_TRUE(has(error, "called send(" + std::to_string(ends.sent) +
                                   " x float32, to 1, tag 4) where rank 1 called recv(" +
                                   std::to_string(ends.expected) + " x " +
                                   std::string(to_string(type)) + ", from 0, tag 4)"))
            << error.what();
        EXPECT_EQ(in, std::vector<float>(in.size(), -1.f));
        EXPECT_THROW(comm.send(std::span(out), 0), Error);
      });
    }
  }
}

TEST_P(SendRecv, ATimeOutSaysWhatThePeerDoesInstead) {
  run_world(
      3,
      [](Communicator& comm) {
        comm.barrier();
        std::vector<float> x(10);
        if (comm.rank() == 0) {
          const Error error = expect_error([&] { comm.recv(std::span(x), 1, 3); });
          EXPECT_EQ(error.code(), ErrorCode::timeout) << error.what();
          EXPECT_EQ(error.operation(), "recv(10 x float32, from 1, tag 3)");
          EXPECT_TRUE(has(error, "recv(10 x float32, from 1, tag 3) on rank 0 has waited for "))
              << error.what();
          EXPECT_TRUE(has(error, "for rank 1 (")) << error.what();
          EXPECT_TRUE(has(error, "to call send(to 0, tag 3)")) << error.what();
          EXPECT_TRUE(has(error, "; rank 1 ")) << error.what();
          EXPECT_TRUE(has(error, "in recv(10 x float32, from 2, tag 8)")) << error.what();
          EXPECT_TRUE(has(error, "; rank 2 is in no call")) << error.what();
          EXPECT_EQ(error.peer(), 2);
          return;
        }
        if (comm.rank() == 1) {
          const Error error = expect_error([&] { comm.recv(std::span(x), 2, 8); });
          EXPECT_EQ(error.code(), ErrorCode::timeout) << error.what();
          return;
        }
        while (!comm.failed()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        const Error error = expect_error([&] { comm.barrier(); });
        EXPECT_TRUE(has(error, "on rank 0 has waited")) << error.what();
      },
      only_rank_0_asks);
}

// Of a collective that a rank does not come to, because it waits in a recv.
TEST_P(SendRecv, ACollectiveThatWaitsForARankInARecvSaysSo) {
  run_world(
      2,
      [](Communicator& comm) {
        comm.barrier();
        std::vector<float> x(10);
        if (comm.rank() == 1) {
          (void)expect_error([&] { comm.recv(std::span(x), 0, 3); });
          return;
        }
        const Error error = expect_error([&] { comm.barrier(); });
        EXPECT_EQ(error.code(), ErrorCode::timeout) << error.what();
        EXPECT_TRUE(has(error, "rank 1 (")) << error.what();
        EXPECT_TRUE(has(error, "has not made call #1, barrier(), in which rank 0 waits"))
            << error.what();
        EXPECT_TRUE(has(error, "in recv(10 x float32, from 0, tag 3)")) << error.what();
        EXPECT_EQ(error.peer(), 1);
      },
      only_rank_0_asks);
}

TEST_P(SendRecv, APeerThatLeavesIsNamed) {
  run(2, [](Communicator& comm) {
    std::vector<float> x(10);
    comm.barrier();
    if (comm.rank() == 1) return;
    const Error error = expect_error([&] { comm.recv(std::span(x), 1, 3); });
    EXPECT_EQ(error.code(), ErrorCode::peer_failed) << error.what();
    EXPECT_EQ(error.peer(), 1);
    EXPECT_EQ(x, std::vector<float>(10));
  });
}

TEST_P(SendRecv, AbortEndsThoseThatWait) {
  std::atomic<bool> started{false};
  run(2, [&](Communicator& comm) {
    comm.barrier();
    if (comm.rank() == 1) {
      // After an abort rank 0's calls would be refused; a little later than they are made it waits.
      while (!started) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      comm.abort("enough of this");
      EXPECT_EQ(expect_error([&] { comm.barrier(); }).code(), ErrorCode::aborted);
      return;
    }
    std::vector<std::int32_t> x(100'000, kUntouched), y(3, kUntouched);
    Work large = comm.recv_async(std::span(x), 1, 3);
    Work sent = comm.send_async(std::span(y), 1, 3);
    started = true;
    const Error error = expect_error([&] { large.wait(); });
    EXPECT_EQ(error.code(), ErrorCode::aborted) << error.what();
    EXPECT_EQ(error.operation(), "recv(100000 x int32, from 1, tag 3)");
    EXPECT_EQ(x, std::vector<std::int32_t>(x.size(), kUntouched));
    try {
      sent.wait();  // small: it may have been done before
    } catch (const Error& other) {
      EXPECT_EQ(other.code(), ErrorCode::aborted) << other.what();
    }
  });
}

TEST_P(SendRecv, AreRemembered) {
  run(2, [](Communicator& comm) {
    std::vector<double> x(6);
    comm.barrier();
    if (comm.rank() == 0) {
      comm.send(std::span(x), 1, 12);
    } else {
      comm.recv(std::span(x), 0, 12);
    }
    comm.barrier();
    const auto calls = comm.history();
    ASSERT_EQ(calls.size(), 3u);
    EXPECT_EQ(calls[0].kind, CallKind::collective);
    const OperationRecord& call = calls[1];
    EXPECT_EQ(call.kind, comm.rank() == 0 ? CallKind::send : CallKind::recv);
    EXPECT_EQ(call.sequence, 0u);
    EXPECT_EQ(call.peer, 1 - comm.rank());
    EXPECT_EQ(call.tag, 12);
    EXPECT_EQ(call.bytes, 48u);
    EXPECT_EQ(call.outcome, Outcome::succeeded);
    EXPECT_EQ(calls[2].sequence, 1u) << "collectives are numbered by themselves";
  });
}

// What is spent on them is spent when they are used, and counted.
TEST_P(SendRecv, CostNothingUntilTheyAreUsed) {
  run(2, [](Communicator& comm) {
    comm.barrier();
    const std::size_t before = comm.usage().scratch_bytes;
    std::vector<float> x(10);
    Work sent = comm.send_async(std::span(x), 1 - comm.rank());
    std::vector<float> y(10);
    comm.recv(std::span(y), 1 - comm.rank());
    sent.wait();
    const Usage after = comm.usage();
    EXPECT_GE(after.scratch_bytes, before + 64 * 1024);
    EXPECT_LE(after.scratch_bytes, before + 256 * 1024);
    EXPECT_EQ(after.allocated_bytes, 0u);
    EXPECT_LT(before, 128u * 1024);
  });
}

TEST(SendRecvTuning, EverySettingOfEagerBytesWorks) {
  for (const std::size_t eager :
       {std::size_t{0}, std::size_t{8}, std::size_t{4096}, std::size_t{131072}}) {
    run_world(
        2,
        [](Communicator& comm) {
          for (const std::size_t count : {0u, 1u, 2u, 3u, 1024u, 1025u}) {
            const auto out = values(comm.rank(), count);
            std::vector<std::int32_t> in(count);
            Work sent = comm.send_async(std::span(out), 1 - comm.rank());
            comm.recv(std::span(in), 1 - comm.rank());
            sent.wait();
            ASSERT_EQ(in, values(1 - comm.rank(), count));
          }
        },
        [eager](Config& config) { config.eager_bytes = eager; });
  }
}

}  // namespace
}  // namespace paceline
