#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "support.h"

namespace paceline::bootstrap {
namespace {

class Links : public Timed {};

std::vector<Link> wait_for_links(Bootstrap& bootstrap, std::size_t count) {
  std::vector<Link> result;
  while (result.size() < count) {
    for (Link& link : bootstrap.take_links()) result.push_back(std::move(link));
    std::this_thread::sleep_for(milliseconds(1));
  }
  return result;
}

// The i-th socket of one end is connected with the i-th of the other.
void expect_connected(const Link& a, const Link& b) {
  ASSERT_EQ(a.sockets.size(), b.sockets.size());
  for (std::size_t i = 0; i < a.sockets.size(); ++i) {
    const char sent = static_cast<char>('a' + i);
    ASSERT_EQ(::send(a.sockets[i].get(), &sent, 1, MSG_NOSIGNAL), 1);
    char got = 0;
    ssize_t n = -1;
    while ((n = ::recv(b.sockets[i].get(), &got, 1, 0)) < 0 && errno == EAGAIN) {
      std::this_thread::yield();  // non-blocking, as promised
    }
    EXPECT_EQ(n, 1);
    EXPECT_EQ(got, sent);
  }
}

TEST_F(Links, BothKindsArriveOnBothSides) {
  auto ranks = create_all(configs_of(4, free_root()));
  expect_all_met(ranks);
  for (const bool local : {false, true}) {
    const auto transport = static_cast<std::uint8_t>(local ? 1 : 2);
    const int count = local ? 1 : 3;
    for (int a = 0; a < 4; ++a) {
      for (int b = 0; b < 4; ++b) {
        // Between 1 and 2 only the higher one asks.
        if (a == b || (a == 1 && b == 2)) continue;
        ranks[static_cast<std::size_t>(a)].bootstrap->request_link({b, transport, local, count});
      }
    }
    std::vector<std::vector<Link>> links;
    for (Outcome& rank : ranks) links.push_back(wait_for_links(*rank.bootstrap, 3));
    for (int a = 0; a < 4; ++a) {
      for (const Link& mine : links[static_cast<std::size_t>(a)]) {
        EXPECT_EQ(mine.transport, transport);
        EXPECT_EQ(mine.sockets.size(), static_cast<std::size_t>(count));
        EXPECT_EQ(mine.dialer, a > mine.peer);
        sockaddr_storage kind{};
        socklen_t length = sizeof kind;
        ASSERT_EQ(::getsockname(mine.sockets[0].get(), reinterpret_cast<sockaddr*>(&kind), &length),
                  0);
        EXPECT_EQ(kind.ss_family, local ? AF_UNIX : AF_INET);
        for (const Link& theirs : links[static_cast<std::size_t>(mine.peer)]) {
          if (theirs.peer == a) expect_connected(mine, theirs);
        }
      }
    }
  }
}

TEST_F(Links, ArrivalIsAnnounced) {
  auto ranks = create_all(configs_of(2), make_process_store());
  expect_all_met(ranks);
  std::mutex mutex;
  std::condition_variable news;
  int ready = 0;
  for (Outcome& rank : ranks) {
    rank.bootstrap->watch({{}, [&] {
                             std::lock_guard lock(mutex);
                             ++ready;
                             news.notify_all();
                           }});
  }
  ranks[1].bootstrap->request_link({0, 7, false, 2});
  {
    std::unique_lock lock(mutex);
    news.wait(lock, [&] { return ready == 2; });
  }
  EXPECT_EQ(ranks[0].bootstrap->take_links().size(), 1U);
  EXPECT_EQ(ranks[1].bootstrap->take_links().size(), 1U);
  EXPECT_EQ(ranks[1].bootstrap->take_links().size(), 0U);
  for (Outcome& rank : ranks) rank.bootstrap->leave();  // `ready` ends before they do
}

// The higher rank dials, but the lower one need not wait for it to call anything.
TEST_F(Links, ComeWhenOnlyTheLowerRankAsks) {
  auto ranks = create_all(configs_of(2), make_process_store());
  expect_all_met(ranks);
  for (const bool local : {false, true}) {
    const auto transport = static_cast<std::uint8_t>(local ? 1 : 2);
    ranks[0].bootstrap->request_link({1, transport, local, 2});
    ranks[0].bootstrap->request_link({1, transport, local, 2});  // changes nothing
    for (Outcome& rank : ranks) {
      const std::vector<Link> links = wait_for_links(*rank.bootstrap, 1);
      ASSERT_EQ(links.size(), 1U);
      EXPECT_EQ(links[0].sockets.size(), 2U);
      EXPECT_EQ(links[0].transport, transport);
    }
    ranks[1].bootstrap->request_link({0, transport, local, 2});  // it is there already
  }
  std::this_thread::sleep_for(milliseconds(100));
  for (Outcome& rank : ranks) EXPECT_TRUE(rank.bootstrap->take_links().empty());
  for (Outcome& rank : ranks) rank.bootstrap->leave();
}

TEST_F(Links, WithOneselfOrNobodyAreRefused) {
  auto ranks = create_all(configs_of(2), make_process_store());
  expect_all_met(ranks);
  EXPECT_THROW(ranks[0].bootstrap->request_link({0, 1, false, 1}), Error);
  EXPECT_THROW(ranks[0].bootstrap->request_link({2, 1, false, 1}), Error);
  EXPECT_THROW(ranks[0].bootstrap->request_link({-1, 1, false, 1}), Error);
  EXPECT_THROW(ranks[0].bootstrap->request_link({1, 1, false, 0}), Error);
}

TEST_F(Links, WithARankThatHasLeftFailInWords) {
  auto ranks = create_all(configs_of(3), make_process_store());
  expect_all_met(ranks);
  FailureWatch watches[2];
  watches[0].watch(*ranks[1].bootstrap);
  watches[1].watch(*ranks[2].bootstrap);
  ranks[0].bootstrap->leave();
  ranks[2].bootstrap->request_link({0, 1, false, 1});
  for (FailureWatch& watch : watches) {
    const auto notice = watch.wait(milliseconds(60'000));
    ASSERT_TRUE(notice);
    EXPECT_EQ(notice->origin, 2);
    EXPECT_EQ(notice->culprit, 0);
    EXPECT_TRUE(contains(notice->text, "rank 2 (host ") && contains(notice->text, "rank 0 (host "))
        << notice->text;
  }
  for (Outcome& rank : ranks) rank.bootstrap->leave();
}

}  // namespace
}  // namespace paceline::bootstrap
