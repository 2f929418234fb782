#include "base/service_thread.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "support.h"

namespace paceline {
namespace {

using bootstrap::TimeLimit;
using std::chrono::milliseconds;
using std::chrono::seconds;

class ServiceThreadTest : public testing::Test {
 private:
  TimeLimit limit_{seconds(60)};
};

// Waits until everything posted before has run.
void settle(ServiceClient& client) {
  std::promise<void> done;
  client.post([&] { done.set_value(); });
  done.get_future().wait();
}

TEST_F(ServiceThreadTest, PostsRunInOrderOnOneThread) {
  ServiceClient a;
  ServiceClient b;
  std::vector<int> order;
  std::thread::id thread_a;
  std::thread::id thread_b;
  for (int i = 0; i < 100; ++i) a.post([&, i] { order.push_back(i); });
  a.post([&] { thread_a = std::this_thread::get_id(); });
  b.post([&] { thread_b = std::this_thread::get_id(); });
  settle(b);
  settle(a);
  ASSERT_EQ(order.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(thread_a, thread_b);
  EXPECT_NE(thread_a, std::this_thread::get_id());
  EXPECT_FALSE(a.on_service_thread());
}

TEST_F(ServiceThreadTest, TimersFireInTimeOnceOrPeriodically) {
  ServiceClient client;
  std::promise<void> fired;
  const auto begun = std::chrono::steady_clock::now();
  client.after(milliseconds(30), [&] { fired.set_value(); });
  fired.get_future().wait();
  EXPECT_GE(std::chrono::steady_clock::now() - begun, milliseconds(30));

  std::atomic<int> turns{0};
  std::promise<void> five;
  const auto timer = client.every(milliseconds(2), [&] {
    if (++turns == 5) five.set_value();
  });
  five.get_future().wait();
  client.cancel(timer);
  settle(client);
  const int after_cancel = turns;
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(turns, after_cancel);

  // By the service thread, which fires no timer in between.
  std::atomic<bool> cancelled_fired{false};
  client.post(
      [&] { client.cancel(client.after(milliseconds(0), [&] { cancelled_fired = true; })); });
  settle(client);
  std::this_thread::sleep_for(milliseconds(20));
  settle(client);
  EXPECT_FALSE(cancelled_fired);
}

TEST_F(ServiceThreadTest, ATimerMayCancelItself) {
  ServiceClient client;
  ServiceClient::Timer timer = ServiceClient::kNoTimer;
  int turns = 0;
  std::promise<void> first;
  client.post([&] {
    timer = client.every(milliseconds(1), [&] {
      client.cancel(timer);
      if (++turns == 1) first.set_value();
    });
  });
  first.get_future().wait();
  std::this_thread::sleep_for(milliseconds(30));
  settle(client);
  client.detach();
  EXPECT_EQ(turns, 1);
}

TEST_F(ServiceThreadTest, DescriptorsReportUntilRemoved) {
  ServiceClient client;
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const UniqueFd in(ends[0]);
  const UniqueFd out(ends[1]);
  std::promise<char> got;
  std::atomic<int> calls{0};
  client.add(in.get(), EPOLLIN, [&](std::uint32_t events) {
    EXPECT_NE(events & EPOLLIN, 0U);
    char c = 0;
    ASSERT_EQ(::read(in.get(), &c, 1), 1);
    ++calls;
    if (c == 'a') got.set_value(c);
  });
  ASSERT_EQ(::write(out.get(), "a", 1), 1);
  EXPECT_EQ(got.get_future().get(), 'a');
  client.modify(in.get(), 0);
  ASSERT_EQ(::write(out.get(), "b", 1), 1);
  settle(client);
  EXPECT_EQ(calls, 1);
  client.remove(in.get());
  settle(client);
  EXPECT_EQ(calls, 1);
}

TEST_F(ServiceThreadTest, DetachWaitsForACallbackUnderWay) {
  for (int round = 0; round < 50; ++round) {
    auto client = std::make_unique<ServiceClient>();
    auto state = std::make_unique<std::atomic<int>>(0);
    std::promise<void> inside;
    client->post([&] {
      inside.set_value();
      std::this_thread::sleep_for(milliseconds(1));
      ++*state;
    });
    client->every(std::chrono::microseconds(10), [p = state.get()] { ++*p; });
    inside.get_future().wait();
    client->detach();
    const int seen = *state;
    EXPECT_GE(seen, 1);
    client->post([] { ADD_FAILURE() << "ran after detach"; });
    state.reset();  // a sanitizer would see a late callback
    client.reset();
  }
}

TEST_F(ServiceThreadTest, AClientMayDieOnTheServiceThread) {
  auto client = std::make_unique<ServiceClient>();
  std::promise<bool> done;
  ServiceClient* const raw = client.get();
  raw->post([&] {
    EXPECT_TRUE(client->on_service_thread());
    client.reset();  // the last one: the thread ends itself
    done.set_value(true);
  });
  EXPECT_TRUE(done.get_future().get());
  ServiceClient next;  // and a new one can start
  settle(next);
}

// The last client often goes while its last post is still waking the thread.
TEST_F(ServiceThreadTest, EndsWhateverElseWakesIt) {
  for (int i = 0; i < 3000; ++i) {
    ServiceClient client;
    client.post([] {});
    if (i % 3 == 0) std::this_thread::yield();
    client.post([] {});
  }
}

TEST_F(ServiceThreadTest, IdleMeansAsleep) {
  ServiceClient client;
  settle(client);
  rusage before{};
  rusage after{};
  ASSERT_EQ(::getrusage(RUSAGE_SELF, &before), 0);
  std::this_thread::sleep_for(milliseconds(200));
  ASSERT_EQ(::getrusage(RUSAGE_SELF, &after), 0);
  // This thread goes to sleep once and the time limit's does not move; a polling loop would
  // switch hundreds of times.
  EXPECT_LT(after.ru_nvcsw - before.ru_nvcsw, 20);
}

}  // namespace
}  // namespace paceline
