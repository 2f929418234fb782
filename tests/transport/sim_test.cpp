// What only the simulation does: its arithmetic of time, its determinism, and the trouble it makes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "paceline/error.h"
#include "transport_sim/sim_fabric.h"

namespace paceline::transport {
namespace {

Bytes filled(std::size_t size, int value) {
  return Bytes(size, static_cast<std::byte>(value));
}

/// Ranks 0 and 1, linked, and memory of rank 1 to put into.
struct Pair {
  explicit Pair(const SimOptions& options, std::size_t bytes = 100'000)
      : fabric(options), a(fabric.make_transport(0)), b(fabric.make_transport(1)), memory(bytes) {
    std::tie(from, to) = link_ranks(*a, 0, *b, 1);
    registration = b->register_memory({memory.data(), memory.size(), -1});
  }
  [[nodiscard]] RemoteAddress target(std::size_t offset = 0) const {
    return {reinterpret_cast<std::uint64_t>(memory.data()) + offset, registration->key()};
  }
  void put(Lane lane, ConstBytes source, std::size_t offset = 0) {
    ASSERT_TRUE(from->put(lane, source, nullptr, target(offset)));
  }
  void finish() {
    while (fabric.advance()) {
    }
  }
  /// Virtual time at which `done` first holds; -1 if it never does.
  template <class Done>
  Nanoseconds when(Done done) {
    while (!done()) {
      if (!fabric.advance()) return -1;
    }
    return fabric.now();
  }

  SimFabric fabric;
  std::unique_ptr<Transport> a;
  std::unique_ptr<Transport> b;
  Bytes memory;
  std::unique_ptr<Registration> registration;
  std::unique_ptr<Endpoint> from;
  std::unique_ptr<Endpoint> to;
};

const SimOptions kAlphaBeta{.latency = 5'000, .nanoseconds_per_byte = 0.25};

// --- time

TEST(SimTime, PutTakesAlphaAndBetaPerByte) {
  Pair pair(kAlphaBeta);
  const Bytes data = filled(40'000, 1);
  pair.put(0, data);
  EXPECT_EQ(pair.when([&] { return pair.from->flushed(); }), 10'000);
  EXPECT_EQ(pair.when([&] { return pair.to->arrived(0) == 1; }), 15'000);
  EXPECT_EQ(pair.memory[39'999], std::byte{1});
}

TEST(SimTime, SignalAndMessageTakeAlpha) {
  Pair pair(kAlphaBeta);
  ASSERT_TRUE(pair.from->signal(3));
  EXPECT_EQ(pair.when([&] { return pair.to->arrived(3) == 1; }), 5'000);
  ASSERT_TRUE(pair.to->send(filled(400, 1), filled(400, 2)));
  EXPECT_EQ(pair.when([&] { return !pair.from->front().empty(); }), 5'000 + 200 + 5'000);
}

TEST(SimTime, WhatSharesALinkSerialisesAndTheOtherDirectionDoesNot) {
  Pair pair(kAlphaBeta);
  const Bytes data = filled(40'000, 1);
  pair.put(0, data);
  pair.put(1, data, 40'000);
  Bytes back_memory(40'000);
  auto back = pair.a->register_memory({back_memory.data(), back_memory.size(), -1});
  ASSERT_TRUE(pair.to->put(0, data, nullptr,
                           {reinterpret_cast<std::uint64_t>(back_memory.data()), back->key()}));
  EXPECT_EQ(pair.when([&] { return pair.from->arrived(0) == 1; }), 15'000);
  EXPECT_EQ(pair.to->arrived(1), 0u);
  EXPECT_EQ(pair.when([&] { return pair.to->arrived(1) == 1; }), 25'000);
}

TEST(SimTime, LossOnlyDelays) {
  SimOptions options = kAlphaBeta;
  options.loss = 0.5;
  options.retransmission = 1'000'000;
  Pair pair(options);
  std::map<Nanoseconds, int> arrivals;
  for (int i = 0; i < 200; ++i) {
    const Nanoseconds start = pair.fabric.now();
    ASSERT_TRUE(pair.from->signal(0));
    const auto before = static_cast<std::uint64_t>(i);
    ++arrivals[pair.when([&] { return pair.to->arrived(0) > before; }) - start];
  }
  // Arrived at the first attempt, the second, and so on: about half as many each time.
  EXPECT_NEAR(arrivals[5'000], 100, 30);
  EXPECT_NEAR(arrivals[1'005'000], 50, 25);
  EXPECT_GT(arrivals.size(), 3u);
}

TEST(SimTime, WakeMovesTheClock) {
  SimFabric fabric({.ranks = 3});
  EXPECT_FALSE(fabric.advance());
  fabric.wake_at(2, 70);
  fabric.wake_at(1, 30);
  ASSERT_TRUE(fabric.advance());
  EXPECT_EQ(fabric.now(), 30);
  ASSERT_EQ(fabric.woken().size(), 1u);
  EXPECT_EQ(fabric.woken()[0], 1);
  ASSERT_TRUE(fabric.advance());
  EXPECT_EQ(fabric.now(), 70);
  EXPECT_FALSE(fabric.advance());
  EXPECT_TRUE(fabric.woken().empty());
  EXPECT_EQ(fabric.events(), 2u);
}

TEST(SimTime, WokenNamesWhoHasNews) {
  Pair pair(kAlphaBeta);
  ASSERT_TRUE(pair.to->signal(0));
  ASSERT_TRUE(pair.fabric.advance());
  ASSERT_EQ(pair.fabric.woken().size(), 1u);
  EXPECT_EQ(pair.fabric.woken()[0], 0);
}

// --- chance

/// What one run looks like from outside: when each counter moved.
std::vector<std::pair<Nanoseconds, std::uint64_t>> history(std::uint64_t seed) {
  Pair pair({.seed = seed, .extra_delay = 30'000, .reorder = true, .loss = 0.1});
  const Bytes data = filled(500, 1);
  std::vector<std::pair<Nanoseconds, std::uint64_t>> seen;
  for (std::size_t i = 0; i < 60; ++i) pair.put(static_cast<Lane>(i % 4), data, i * 500);
  while (pair.fabric.advance()) {
    std::uint64_t state = pair.from->flushed() ? 1 : 0;
    for (Lane lane = 0; lane < 4; ++lane) state = state * 100 + pair.to->arrived(lane);
    seen.emplace_back(pair.fabric.now(), state);
  }
  return seen;
}

TEST(SimChance, SameSeedSameRun) {
  EXPECT_EQ(history(1), history(1));
  EXPECT_NE(history(1), history(2));
}

TEST(SimChance, LanesOvertakeEachOtherAndKeepTheirOwnOrder) {
  int overtaken = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Pair pair({.seed = seed, .extra_delay = 10'000});
    ASSERT_TRUE(pair.from->signal(0));
    ASSERT_TRUE(pair.from->signal(1));
    ASSERT_TRUE(pair.from->send(filled(8, 1), {}));
    ASSERT_TRUE(pair.from->send(filled(8, 2), {}));
    (void)pair.when([&] { return pair.to->arrived(0) + pair.to->arrived(1) > 0; });
    if (pair.to->arrived(1) == 1 && pair.to->arrived(0) == 0) ++overtaken;
    pair.finish();
    EXPECT_EQ(pair.to->front()[0], std::byte{1}) << "messages keep their order";
  }
  EXPECT_GT(overtaken, 10);
  EXPECT_LT(overtaken, 40);
}

TEST(SimChance, DataOfALaterPutMayComeBeforeAnEarlierOnesCounter) {
  int early = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Pair pair({.seed = seed, .extra_delay = 10'000, .reorder = true});
    const Bytes first = filled(1000, 1);
    const Bytes second = filled(1000, 2);
    pair.put(0, first, 0);
    pair.put(0, second, 1000);
    bool second_before_first = false;
    while (pair.fabric.advance()) {
      const auto n = pair.to->arrived(0);
      const bool first_whole = std::ranges::equal(first, ConstBytes(pair.memory).first(1000));
      const bool second_whole =
          std::ranges::equal(second, ConstBytes(pair.memory).subspan(1000, 1000));
      ASSERT_TRUE(n < 1 || first_whole) << "a counter promises its data";
      ASSERT_TRUE(n < 2 || second_whole);
      second_before_first |= second_whole && !first_whole;
    }
    early += second_before_first ? 1 : 0;
  }
  EXPECT_GT(early, 5);
}

TEST(SimChance, SourceThatIsChangedBeforeFlushedShows) {
  for (const bool reorder : {false, true}) {
    int differs = 0;
    int same = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      Pair pair({.seed = seed, .reorder = reorder});
      Bytes careless = filled(1000, 1);
      pair.put(0, careless);
      std::ranges::fill(careless, std::byte{9});  // too early
      pair.finish();
      differs += pair.memory[0] == std::byte{9} ? 1 : 0;

      Bytes careful = filled(1000, 3);
      pair.put(0, careful);
      (void)pair.when([&] { return pair.from->flushed(); });
      std::ranges::fill(careful, std::byte{9});
      pair.finish();
      same += std::ranges::equal(filled(1000, 3), ConstBytes(pair.memory).first(1000)) ? 1 : 0;
    }
    EXPECT_EQ(differs, 20);
    EXPECT_EQ(same, 20);
  }
}

// --- death

TEST(SimDeath, PeersLearnAfterTheDetectionDelay) {
  SimOptions options = kAlphaBeta;
  options.detection = 77'000;
  Pair pair(options);
  pair.fabric.kill_at(1, 10'000);
  const auto failed = [&] {
    try {
      (void)pair.from->front();
      return false;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::peer_failed);
      EXPECT_EQ(error.peer(), 1);
      return true;
    }
  };
  EXPECT_EQ(pair.when(failed), 87'000);
  EXPECT_THROW((void)pair.to->front(), Error) << "the dead do nothing";
  EXPECT_THROW((void)pair.from->signal(0), Error);
}

TEST(SimDeath, WhatHasLeftArrivesAndTheRestNever) {
  SimOptions options = kAlphaBeta;
  options.detection = 1'000'000;
  Pair pair(options);
  const Bytes data = filled(40'000, 1);
  pair.put(0, data);          // leaves until 10,000
  pair.put(0, data, 40'000);  // leaves until 20,000
  pair.fabric.kill_at(0, 12'000);
  pair.finish();
  EXPECT_EQ(pair.to->arrived(0), 1u);
  EXPECT_EQ(pair.memory[0], std::byte{1});
  EXPECT_EQ(pair.memory[40'000], std::byte{0});
  EXPECT_THROW((void)pair.to->front(), Error);
}

TEST(SimDeath, SilentDeathIsNeverTold) {
  SimOptions options = kAlphaBeta;
  options.detection = SimOptions::kNever;
  Pair pair(options);
  pair.fabric.kill(1);
  ASSERT_TRUE(pair.from->send(filled(8, 1), {}));
  pair.finish();
  EXPECT_TRUE(pair.from->front().empty());
}

TEST(SimDeath, LinkToTheDeadIsNotMade) {
  SimFabric fabric({.ranks = 2, .detection = 0});
  auto a = fabric.make_transport(0);
  auto connector = a->connect(1, Role::dialer, {});
  EXPECT_EQ(connector->poll(), nullptr);
  fabric.kill(1);
  EXPECT_THROW((void)connector->poll(), Error);
}

// --- limits, scale

TEST(SimLimits, DepthsMakePutAndSendSayNo) {
  Pair pair({.queue_depth = 2, .mailbox = 3});
  const Bytes data = filled(100, 1);
  EXPECT_TRUE(pair.from->put(0, data, nullptr, pair.target()));
  EXPECT_TRUE(pair.from->put(0, data, nullptr, pair.target()));
  EXPECT_FALSE(pair.from->put(0, data, nullptr, pair.target()));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(pair.from->send(data, {}));
  EXPECT_FALSE(pair.from->send(data, {}));
  pair.finish();
  EXPECT_EQ(pair.to->arrived(0), 2u) << "what was refused was not done";
  EXPECT_TRUE(pair.from->put(0, data, nullptr, pair.target()));
  EXPECT_FALSE(pair.from->send(data, {})) << "nobody has read";
  pair.to->pop();
  EXPECT_FALSE(pair.from->send(data, {})) << "the credit is on its way";
  pair.finish();
  EXPECT_TRUE(pair.from->send(data, {}));
}

TEST(SimLimits, OptionsOutOfRangeAreRejected) {
  const auto rejected = [](const SimOptions& options) { EXPECT_THROW(SimFabric{options}, Error); };
  rejected({.ranks = 0});
  rejected({.latency = -1});
  rejected({.nanoseconds_per_byte = -1});
  rejected({.extra_delay = -1});
  rejected({.loss = 1});
  rejected({.queue_depth = 0});
  rejected({.mailbox = 0});
  rejected({.detection = -2});
  rejected({.ranks_per_host = 0});
  SimFabric fabric({.ranks = 2});
  EXPECT_THROW((void)fabric.make_transport(2), Error);
  EXPECT_THROW((void)fabric.make_transport(0)->connect(0, Role::dialer, {}), Error);
  EXPECT_THROW(fabric.kill(-1), Error);
}

TEST(SimLimits, OnlyRanksOfOneHostMap) {
  SimFabric fabric({.ranks = 3, .ranks_per_host = 2, .mappable = true, .gettable = true});
  auto a = fabric.make_transport(0);
  auto b = fabric.make_transport(1);
  auto c = fabric.make_transport(2);
  auto [ab, ba] = link_ranks(*a, 0, *b, 1);
  auto [bc, cb] = link_ranks(*b, 1, *c, 2);
  EXPECT_TRUE(ab->maps() && ba->maps() && ab->can_get());
  EXPECT_FALSE(bc->maps() || cb->maps() || bc->can_get());
}

TEST(SimScale, ThousandsOfRanksPassAToken) {
  // A ring of 4,096 ranks: each passes on what it got, looking only when it is woken.
  constexpr int kRanks = 4096;
  SimFabric fabric({.ranks = kRanks, .latency = 100});
  std::vector<std::unique_ptr<Transport>> transports;
  for (int rank = 0; rank < kRanks; ++rank) transports.push_back(fabric.make_transport(rank));
  std::vector<std::unique_ptr<Endpoint>> next(kRanks);
  std::vector<std::unique_ptr<Endpoint>> previous(kRanks);
  for (std::size_t rank = 0; rank < kRanks; ++rank) {
    const std::size_t right = (rank + 1) % kRanks;
    std::tie(next[rank], previous[right]) = link_ranks(*transports[rank], static_cast<int>(rank),
                                                       *transports[right], static_cast<int>(right));
  }
  std::vector<std::uint64_t> passed(kRanks);
  ASSERT_TRUE(next[0]->signal(0));
  passed[0] = 1;
  int hops = 0;
  while (fabric.advance()) {
    for (const int woken : fabric.woken()) {
      const auto rank = static_cast<std::size_t>(woken);
      if (rank == 0 || previous[rank]->arrived(0) == passed[rank]) continue;
      ++passed[rank];
      ++hops;
      ASSERT_TRUE(next[rank]->signal(0));
    }
  }
  EXPECT_EQ(hops, kRanks - 1);
  EXPECT_EQ(previous[0]->arrived(0), 1u);
  EXPECT_EQ(fabric.now(), Nanoseconds{kRanks} * 100);
  EXPECT_EQ(fabric.events(), std::uint64_t{kRanks});
}

}  // namespace
}  // namespace paceline::transport
