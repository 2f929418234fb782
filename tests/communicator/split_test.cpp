// Communicators out of communicators.
#include <atomic>
#include <cstring>

#include "support/world.h"

namespace paceline {
namespace {

using testing_support::expect_error;
using testing_support::run_world;

int sum_of(Communicator& comm, int value) {
  auto sum = static_cast<std::int32_t>(value);
  comm.all_reduce(std::span(&sum, 1), ReduceOp::sum);
  return sum;
}

class Split : public testing::TestWithParam<std::string> {
 protected:
  void run(int size, const std::function<void(Communicator&)>& body) {
    run_world(size, body, [](Config& config) { config.transports = {GetParam()}; });
  }
};
INSTANTIATE_TEST_SUITE_P(Wires, Split, testing::Values("shm", "tcp"),
                         [](const auto& param) { return param.param; });

TEST_P(Split, ByColourInTheOrderOfTheKeys) {
  run(5, [](Communicator& comm) {
    const int old = comm.rank();
    // Odd and even, each backwards.
    std::optional<Communicator> part = comm.split(old % 2, -old);
    ASSERT_TRUE(part);
    EXPECT_EQ(part->size(), old % 2 == 0 ? 3 : 2);
    EXPECT_EQ(part->rank(), old % 2 == 0 ? (4 - old) / 2 : (3 - old) / 2);
    EXPECT_EQ(sum_of(*part, old), old % 2 == 0 ? 6 : 4);
    EXPECT_EQ(sum_of(comm, old), 10);
    std::vector<std::int32_t> all(static_cast<std::size_t>(part->size()));
    const std::int32_t mine = old;
    part->all_gather(std::span(&mine, 1), std::span(all));
    EXPECT_TRUE(std::is_sorted(all.rbegin(), all.rend()));
  });
}

TEST_P(Split, EqualKeysKeepTheOldOrderAndANegativeColourStaysOut) {
  run(4, [](Communicator& comm) {
    const int old = comm.rank();
    std::optional<Communicator> part = comm.split(old == 2 ? -1 : 7);
    EXPECT_EQ(part.has_value(), old != 2);
    if (part) {
      EXPECT_EQ(part->rank(), old < 2 ? old : 2);
      EXPECT_EQ(sum_of(*part, 1), 3);
    }
    comm.barrier();
    std::optional<Communicator> alone = comm.split(old);
    EXPECT_EQ(alone->size(), 1);
    EXPECT_EQ(sum_of(*alone, 5), 5);
  });
}

TEST_P(Split, PartsOfPartsOutliveTheWhole) {
  run(4, [](Communicator& comm) {
    const int old = comm.rank();
    Communicator half = *comm.split(old / 2);
    Communicator twin = half.duplicate();
    EXPECT_EQ(twin.rank(), half.rank());
    comm = Communicator::create(Config{});  // leaves the whole
    EXPECT_EQ(sum_of(half, old), old < 2 ? 1 : 5);
    EXPECT_EQ(sum_of(twin, 1), 2);
  });
}

// Each thread has a communicator of its own, and the threads of the ranks meet in any order.
TEST_P(Split, SeveralThreadsSeveralCommunicators) {
  run(3, [](Communicator& comm) {
    constexpr int kThreads = 3;
    std::vector<Communicator> comms;
    for (int t = 0; t < kThreads; ++t) comms.push_back(comm.duplicate());
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::vector<float> large(30'000 + static_cast<std::size_t>(t), 1.f);
        for (int round = 0; round < 20; ++round) {
          if (sum_of(comms[static_cast<std::size_t>(t)], t + round) != 3 * (t + round)) ++wrong;
          std::fill(large.begin(), large.end(), 1.f);
          comms[static_cast<std::size_t>(t)].all_reduce(std::span(large), ReduceOp::sum);
          if (large.back() != 3.f) ++wrong;
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(wrong.load(), 0);
  });
}

TEST_P(Split, AFailureStaysInItsCommunicator) {
  run(3, [](Communicator& comm) {
    Communicator twin = comm.duplicate();
    if (comm.rank() == 1) twin.abort("enough of this one");
    const Error error = expect_error([&] {
      for (;;) twin.barrier();
    });
    EXPECT_EQ(error.code(), ErrorCode::aborted) << error.what();
    EXPECT_EQ(sum_of(comm, 1), 3);
    std::optional<Communicator> part = comm.split(0);
    EXPECT_EQ(sum_of(*part, 1), 3);
    // Also a part may go on with its survivors, under a name of its own.
    Communicator again = twin.shrink();
    EXPECT_EQ(sum_of(again, 2), 6);
  });
}

}  // namespace
}  // namespace paceline
