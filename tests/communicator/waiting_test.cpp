// Waits that end before their operation, ends that nobody waits for, and who asks whether to go on.
#include <atomic>
#include <chrono>
#include <thread>

#include "support/world.h"

namespace paceline {
namespace {

using std::chrono::milliseconds;
using testing_support::expect_error;
using testing_support::run_world;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kLarge = 100'000;  // by puts, which the service thread finishes

void wait_until(const std::function<bool()>& condition) {
  while (!condition()) std::this_thread::sleep_for(milliseconds(1));  // ctest has the time-out
}

TEST(WaitFor, EndsBeforeItsOperationWhichGoesOn) {
  run_world(2, [](Communicator& comm) {
    std::vector<float> x(kLarge, 1.f);
    float token = 0;
    if (comm.rank() == 0) comm.recv(std::span(&token, 1), 1);
    Work work = comm.all_reduce_async(std::span(x), ReduceOp::sum);
    if (comm.rank() == 1) {
      const auto begin = Clock::now();
      EXPECT_FALSE(work.wait_for(milliseconds(20)));
      EXPECT_GE(Clock::now() - begin, milliseconds(20));
      EXPECT_FALSE(work.wait_for(milliseconds(0)));
      comm.send(std::span(&token, 1), 0);
    }
    EXPECT_TRUE(work.wait_for(std::chrono::hours(1)));
    EXPECT_TRUE(work.wait_for(std::chrono::nanoseconds::max()));
    EXPECT_EQ(x.back(), 2.f);
    EXPECT_TRUE(Work().wait_for(milliseconds(0)));
  });
}

TEST(WaitFor, EndsInTimeWhileAnotherThreadMakesProgress) {
  run_world(2, [](Communicator& comm) {
    std::vector<float> x(4, 1.f);
    if (comm.rank() == 0) return (void)expect_error([&] { comm.recv(std::span(x), 1); });
    Work work = comm.all_reduce_async(std::span(x), ReduceOp::sum);
    std::thread other([&] { (void)expect_error([&] { comm.barrier(); }); });
    std::this_thread::sleep_for(milliseconds(20));
    EXPECT_FALSE(work.wait_for(milliseconds(20)));
    comm.abort("enough");
    other.join();
    EXPECT_EQ(expect_error([&] { work.wait_for(milliseconds(20)); }).code(), ErrorCode::aborted);
  });
}

TEST(OnDone, IsCalledOnceWhenTheOperationEnds) {
  run_world(2, [](Communicator& comm) {
    for (int round = 0; round < 200; ++round) {
      std::vector<float> x(round % 2 == 0 ? 1 : kLarge / 10, 1.f);
      auto calls = std::make_shared<std::atomic<int>>(0);
      bool was_done = false;
      {
        Work work = comm.all_reduce_async(std::span(x), ReduceOp::sum);
        work.on_done([calls] { ++*calls; });
        work.on_done([calls] { ++*calls; });
        wait_until([&] { return *calls == 2; });  // without anybody's waiting for the Work
        was_done = work.done();
        work.on_done([calls] { ++*calls; });  // at once
      }
      EXPECT_TRUE(was_done);
      EXPECT_EQ(*calls, 3);
      EXPECT_EQ(x.back(), 2.f);
    }
    int called = 0;
    Work().on_done([&] { ++called; });
    EXPECT_EQ(called, 1);
  });
}

TEST(OnDone, IsCalledWhenTheOperationFails) {
  run_world(2, [](Communicator& comm) {
    // Rank 0 waits in a receive: another collective could be found to differ before the abort.
    float never = 0;
    if (comm.rank() == 0) return (void)expect_error([&] { comm.recv(std::span(&never, 1), 1, 0); });
    std::atomic<int> called = 0;
    std::vector<float> x(kLarge, 1.f);
    Work work = comm.all_reduce_async(std::span(x), ReduceOp::sum);
    work.on_done([&] { ++called; });
    comm.abort("enough");
    wait_until([&] { return called == 1; });
    EXPECT_EQ(expect_error([&] { work.wait(); }).code(), ErrorCode::aborted);
  });
}

TEST(OnDone, IsCalledWhenTheCommunicatorEndsFirst) {
  run_world(2, [](Communicator& comm) {
    std::atomic<int> called = 0;
    std::vector<float> x(kLarge, 1.f);
    Work work;
    {
      Communicator twin = comm.duplicate();
      if (twin.rank() == 0) {
        work = twin.all_reduce_async(std::span(x), ReduceOp::sum);
        work.on_done([&] { ++called; });
      }
      comm.barrier();
    }
    if (comm.rank() == 0) {
      EXPECT_EQ(called, 1);
      (void)expect_error([&] { work.wait(); });
    }
    comm.barrier();
  });
}

TEST(WhileWaiting, AReasonEndsTheWaitOnAllRanks) {
  run_world(2, [](Communicator& comm) {
    int asked = 0;
    float x = 1;
    if (comm.rank() == 1) {
      comm.while_waiting([&] { return std::string(++asked < 3 ? "" : "a signal came"); });
    }
    const auto begin = Clock::now();
    const Error error = expect_error([&] {  // neither ever ends
      if (comm.rank() == 0) return comm.recv(std::span(&x, 1), 1);
      comm.all_reduce(std::span(&x, 1), ReduceOp::sum);
    });
    EXPECT_EQ(error.code(), ErrorCode::aborted);
    EXPECT_NE(std::string(error.what()).find("a signal came"), std::string::npos) << error.what();
    EXPECT_EQ(error.peer(), 1);
    if (comm.rank() == 1) {
      EXPECT_EQ(asked, 3);
      EXPECT_GE(Clock::now() - begin, milliseconds(150));
    }
  });
}

TEST(WhileWaiting, QuickCallsDoNotAsk) {
  std::atomic<bool> asked_in_vain{false};  // by rank 1, for which rank 0 waits
  run_world(2, [&](Communicator& comm) {
    const int rank = comm.rank();
    int asked = 0;
    int while_quick = -1;
    comm.while_waiting([&] {
      ++asked;
      if (rank == 1 && while_quick >= 0) asked_in_vain = true;
      return std::string();
    });
    float x = 1;
    for (int i = 0; i < 100; ++i) comm.all_reduce(std::span(&x, 1), ReduceOp::max);
    while_quick = asked;
    if (rank == 0) wait_until([&] { return asked_in_vain.load(); });
    comm.barrier();
    comm.while_waiting({});
    EXPECT_TRUE(rank == 0 || asked > while_quick);
    comm.barrier();
  });
}

TEST(GroupCancel, DropsWhatWasCollected) {
  run_world(2, [](Communicator& comm) {
    std::vector<float> x(4, 1.f);
    EXPECT_EQ(expect_error([&] { comm.group_cancel(); }).code(), ErrorCode::invalid_argument);
    comm.group_begin();
    comm.all_reduce(std::span(x), ReduceOp::sum);
    comm.group_cancel();
    EXPECT_EQ(x[0], 1.f);
    comm.all_reduce(std::span(x), ReduceOp::sum);
    EXPECT_EQ(x[0], 2.f);
    comm.group_begin();
    comm.send(std::span(x), 1 - comm.rank());
    EXPECT_EQ(expect_error([&] { comm.group_cancel(); }).code(), ErrorCode::invalid_argument);
    std::vector<float> y(4, 0.f);
    comm.recv(std::span(y), 1 - comm.rank());
    comm.group_end();
    EXPECT_EQ(y, x);
  });
}

}  // namespace
}  // namespace paceline
