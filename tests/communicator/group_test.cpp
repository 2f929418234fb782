// Calls launched together, and calls started again.
#include <latch>
#include <numeric>
#include <vector>

#include "support/world.h"

namespace paceline {
namespace {

using testing_support::expect_error;
using testing_support::run_world;

class Group : public testing::TestWithParam<std::string> {
 protected:
  static void run(int size, const std::function<void(Communicator&)>& body) {
    run_world(size, body, [](Config& config) { config.transports = {GetParam()}; });
  }
};
INSTANTIATE_TEST_SUITE_P(Wires, Group, testing::Values("shm", "tcp"),
                         [](const auto& param) { return param.param; });

/// Many tensors of many lengths, two large ones among them.
struct Tensors {
  std::vector<std::vector<std::int32_t>> all;
  Tensors(int rank, int first) {
    for (std::size_t t = 0; t < 60; ++t) {
      const std::size_t count = t % 25 == 9 ? 50'000 : t * 37 % 211;
      all.emplace_back(count, first + rank + static_cast<int>(t));
    }
  }
  void expect_sum(int size, int first) const {
    for (std::size_t t = 0; t < all.size(); ++t) {
      const int sum = size * (first + static_cast<int>(t)) + size * (size - 1) / 2;
      ASSERT_EQ(all[t], std::vector<std::int32_t>(all[t].size(), sum)) << "tensor " << t;
    }
  }
};

TEST_P(Group, SumsManyTensors) {
  run(3, [](Communicator& comm) {
    for (int first = 0; first < 5; ++first) {
      Tensors tensors(comm.rank(), first);
      comm.group_begin();
      for (auto& tensor : tensors.all) comm.all_reduce(std::span(tensor), ReduceOp::sum);
      comm.group_end();
      tensors.expect_sum(comm.size(), first);
    }
    // Sixty calls a time, of which most went together.
    EXPECT_LT(comm.history().back().sequence, 5u * 5u);
  });
}

// Everything in one group: in place and not, with and without roots and blocks.
TEST_P(Group, TakesEveryCollective) {
  run(4, [](Communicator& comm) {
    const int rank = comm.rank();
    const auto me = static_cast<std::size_t>(rank);
    for (int round = 0; round < 3; ++round) {
      std::vector<float> sum = {1.f, 2.f};
      std::vector<float> twice = {static_cast<float>(rank)};
      std::vector<float> sent(2, rank == 2 ? 5.f : 0.f);
      std::vector<double> four(4, -1.0);
      four[me] = rank;
      std::vector<double> other(8, -1.0);
      const std::vector<double> pair = {rank + 0.25, rank + 0.5};
      std::vector<std::int32_t> blocks(4, rank);
      std::iota(blocks.begin(), blocks.end(), rank * 4);
      std::vector<std::int32_t> turned(4);
      std::int32_t mine = -1;
      std::vector<std::int32_t> gathered(rank == 1 ? 4 : 0);
      std::int32_t got = -1;

      comm.group_begin();
      comm.all_reduce(std::span(sum), ReduceOp::sum);
      comm.broadcast(std::span(sent), 2);
      comm.all_gather(std::span(four));
      comm.barrier();
      comm.all_gather(std::span(pair), std::span(other));
      comm.all_to_all(blocks.data(), turned.data(), 1, DataType::int32);
      comm.reduce_scatter(std::span<const std::int32_t>(blocks), std::span(&mine, 1),
                          ReduceOp::max);
      comm.gather(std::span<const std::int32_t>(&rank, 1), std::span(gathered), 1);
      comm.all_reduce(std::span(twice), ReduceOp::sum);
      comm.scatter(rank == 3 ? blocks.data() : nullptr, &got, 1, DataType::int32, 3);
      comm.group_end_async().wait();

      EXPECT_EQ(sum, (std::vector<float>{4.f, 8.f}));
      EXPECT_EQ(twice, (std::vector<float>{6.f}));
      EXPECT_EQ(sent, (std::vector<float>{5.f, 5.f}));
      EXPECT_EQ(four, (std::vector<double>{0, 1, 2, 3}));
      EXPECT_EQ(other, (std::vector<double>{0.25, 0.5, 1.25, 1.5, 2.25, 2.5, 3.25, 3.5}));
      EXPECT_EQ(turned, (std::vector<std::int32_t>{rank, 4 + rank, 8 + rank, 12 + rank}));
      EXPECT_EQ(mine, 12 + rank);
      if (rank == 1) {
        EXPECT_EQ(gathered, (std::vector<std::int32_t>{0, 1, 2, 3}));
      }
      EXPECT_EQ(got, 12 + rank);
    }
  });
}

// As in NCCL: everybody sends before it receives, to all others.
TEST_P(Group, TakesSendsAndRecvs) {
  run(3, [](Communicator& comm) {
    constexpr std::size_t kCount = 100'000;
    for (int round = 0; round < 3; ++round) {
      const std::vector<std::int32_t> mine(kCount, comm.rank() + round);
      std::vector<std::vector<std::int32_t>> theirs(3, std::vector<std::int32_t>(kCount));
      float sum = 1;
      comm.group_begin();
      for (int peer = 0; peer < comm.size(); ++peer) {
        comm.send(std::span(mine), peer);
        comm.recv(std::span(theirs[static_cast<std::size_t>(peer)]), peer);
      }
      comm.all_reduce(std::span(&sum, 1), ReduceOp::sum);
      comm.group_end();
      EXPECT_EQ(sum, 3.f);
      for (int peer = 0; peer < comm.size(); ++peer) {
        EXPECT_EQ(theirs[static_cast<std::size_t>(peer)],
                  std::vector<std::int32_t>(kCount, peer + round));
      }
    }
    comm.group_begin();
    int x = 0;
    comm.send(std::span<const int>(&x, 1), comm.rank());
    comm.recv(std::span(&x, 1), comm.rank());
    const Error error = expect_error([&] { (void)comm.group_end_async(); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    comm.group_end();
  });
}

TEST_P(Group, StartsAgain) {
  run(3, [](Communicator& comm) {
    std::vector<std::vector<double>> tensors(10, std::vector<double>(100));
    std::vector<double> large(40'000);
    comm.group_begin();
    for (auto& tensor : tensors) comm.all_reduce(std::span(tensor), ReduceOp::sum);
    comm.all_reduce(std::span(large), ReduceOp::sum);
    Work step = comm.group_end_async();
    step.wait();
    for (int round = 1; round < 20; ++round) {
      for (auto& tensor : tensors) std::fill(tensor.begin(), tensor.end(), round);
      std::fill(large.begin(), large.end(), round + 1);
      step.restart();
      step.wait();
      for (auto& tensor : tensors) ASSERT_EQ(tensor, std::vector<double>(100, 3 * round));
      ASSERT_EQ(large, std::vector<double>(40'000, 3 * (round + 1)));
    }
  });
}

TEST_P(Group, ACallStartsAgain) {
  run(2, [](Communicator& comm) {
    std::vector<std::int32_t> x(10'000, 1);
    Work work = comm.all_reduce_async(std::span(x), ReduceOp::sum);
    work.wait();
    for (int round = 1; round < 10; ++round) {
      work.restart();
      work.wait();
      EXPECT_EQ(x[9999], 2 << round);
    }
  });
}

TEST(GroupRules, NothingStartsAgainBeforeItIsDone) {
  std::latch tried(1);
  run_world(2, [&](Communicator& comm) {
    std::vector<float> x(4);
    if (comm.rank() == 1) {
      comm.barrier();
      return tried.wait();
    }
    Work barrier = comm.barrier_async();
    Work sum = comm.all_reduce_async(std::span(x), ReduceOp::sum);  // the other rank will leave
    const Error early = expect_error([&] { sum.restart(); });
    tried.count_down();
    EXPECT_EQ(early.code(), ErrorCode::invalid_argument);
    EXPECT_STREQ(early.what(),
                 "Work::restart() was called while the operation is under way: wait() first");
    barrier.wait();
    EXPECT_EQ(expect_error([&] { sum.wait(); }).code(), ErrorCode::peer_failed);
  });
}

TEST(GroupRules, AreSaid) {
  run_world(2, [](Communicator& comm) {
    std::vector<float> x(4);
    const auto text = [](const std::function<void()>& call) {
      const Error error = expect_error(call);
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      return std::string(error.what());
    };
    EXPECT_EQ(text([&] { comm.group_end(); }),
              "group_end() was called without a group_begin() before it");
    comm.group_begin();
    comm.all_reduce(std::span(x), ReduceOp::sum);
    EXPECT_EQ(
        text([&] { comm.group_begin(); }),
        "group_begin() was called in a group that is still open, with 1 calls in it: end that "
        "one first");
    EXPECT_EQ(text([&] { (void)comm.barrier_async(); }),
              "a call that returns Work cannot be part of a group, in which 1 calls are collected: "
              "end the group first");
    EXPECT_NE(text([&] { (void)comm.duplicate(); }).find("cannot be part of a group"),
              std::string::npos);
    // What is wrong with a call is said where it is made.
    EXPECT_NE(text([&] { comm.broadcast(std::span(x), 7); }).find("root 7"), std::string::npos);
    comm.group_end();
    comm.group_begin();
    comm.group_end();  // of nothing
    comm.barrier();
  });
}

// What was collected is dropped; the others learn that this rank has left.
TEST(GroupRules, AGroupThatIsNeverClosed) {
  run_world(2, [](Communicator& comm) {
    std::vector<float> x(4);
    comm.group_begin();
    comm.all_reduce(std::span(x), ReduceOp::sum);
    if (comm.rank() == 0) return;
    const Error error = expect_error([&] { comm.group_end(); });
    EXPECT_EQ(error.code(), ErrorCode::peer_failed) << error.what();
  });
}

TEST(GroupRules, AFailedCommunicatorEndsIt) {
  run_world(1, [](Communicator& comm) {
    std::vector<float> x(4);
    comm.group_begin();
    comm.all_reduce(std::span(x), ReduceOp::sum);
    comm.abort("no more");
    EXPECT_EQ(expect_error([&] { comm.group_end(); }).code(), ErrorCode::aborted);
    EXPECT_EQ(expect_error([&] { comm.group_begin(); }).code(), ErrorCode::aborted);
  });
}

}  // namespace
}  // namespace paceline
