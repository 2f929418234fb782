// Conformance: descriptions, and messages through the mailbox.
#pragma once

#include "transport/fabric.h"

namespace paceline::transport::conformance {

TEST_P(Conformance, DescriptionsAreShortAndReachableIsSymmetrical) {
  auto world = GetParam().make_world();
  auto a = world->make_transport(0);
  auto b = world->make_transport(1);
  EXPECT_FALSE(a->name().empty());
  EXPECT_EQ(a->name(), b->name());
  EXPECT_LE(a->describe().size(), 512u);
  EXPECT_GE(a->sockets().count, 0);
  EXPECT_EQ(a->sockets().count, b->sockets().count);
  const Reachable to_b = a->reachable(b->describe());
  const Reachable to_a = b->reachable(a->describe());
  EXPECT_TRUE(to_b.yes) << to_b.why_not;
  EXPECT_TRUE(to_a.yes) << to_a.why_not;
}

TEST_P(Conformance, GarbageDescriptionIsNotReachable) {
  auto world = GetParam().make_world();
  auto transport = world->make_transport(0);
  for (std::size_t size : {1u, 3u, 40u, 600u}) {
    const Reachable answer = transport->reachable(Bytes(size, std::byte{0xff}));
    EXPECT_FALSE(answer.yes);
    EXPECT_FALSE(answer.why_not.empty());
  }
}

TEST_P(Conformance, MessagesOfEverySizeArriveInOrder) {
  Fabric fabric(GetParam());
  Endpoint& from = fabric.endpoint(0, 1);
  Endpoint& to = fabric.endpoint(1, 0);
  EXPECT_TRUE(to.front().empty());
  const std::size_t longest = fabric.transport(0).longest_message();
  ASSERT_GE(longest, kMaxMessage);
  for (std::size_t size = 1; size <= longest; size += size < 300 ? 1 : 97 + size / 64) {
    const Bytes message = pattern(size, size);
    const std::size_t header = size / 3;  // where it is cut must not matter
    ASSERT_TRUE(fabric.until([&] {
      return from.send(ConstBytes(message).first(header), ConstBytes(message).subspan(header));
    }));
    ASSERT_TRUE(fabric.until([&] { return !to.front().empty(); }));
    ASSERT_TRUE(same(to.front(), message)) << size;
    ASSERT_TRUE(same(to.front(), message)) << "front() takes nothing away";
    to.pop();
  }
  fabric.send(from, pattern(longest, 7));
  ASSERT_TRUE(fabric.until([&] { return !to.front().empty(); }));
  EXPECT_TRUE(same(to.front(), pattern(longest, 7)));
  to.pop();
  fabric.step_some();
  EXPECT_TRUE(to.front().empty());
}

TEST_P(Conformance, MessageIsCopiedBeforeSendReturns) {
  Fabric fabric(GetParam());
  Bytes message = pattern(2000, 1);
  fabric.send(fabric.endpoint(0, 1), message);
  std::fill(message.begin(), message.end(), std::byte{0});
  ASSERT_TRUE(fabric.until([&] { return !fabric.endpoint(1, 0).front().empty(); }));
  EXPECT_TRUE(same(fabric.endpoint(1, 0).front(), pattern(2000, 1)));
}

/// Fills the mailbox with messages of this size and empties it, three times.
inline void fill_and_empty(Fabric& fabric, std::size_t size) {
  // No mailbox holds more than this: it is memory per peer.
  const std::size_t most = (std::size_t{64} << 20) / size;
  // So many refusals in a row are not a queue that is about to drain.
  constexpr int kFull = 1000;
  Endpoint& from = fabric.endpoint(0, 1);
  Endpoint& to = fabric.endpoint(1, 0);
  std::size_t sent = 0;
  std::size_t received = 0;
  for (int round = 0; round < 3; ++round) {
    for (int refused = 0; refused < kFull && sent < most;) {
      if (from.send(pattern(size, sent), {})) {
        ++sent;
        refused = 0;
      } else {
        ++refused;
        fabric.step();
      }
    }
    ASSERT_LT(sent, most) << "the mailbox never filled";
    ASSERT_GT(sent, received);
    while (received < sent) {
      ASSERT_TRUE(fabric.until([&] { return !to.front().empty(); }));
      ASSERT_TRUE(same(to.front(), pattern(size, received))) << received;
      to.pop();
      ++received;
    }
  }
  fabric.step_some();
  EXPECT_TRUE(to.front().empty());
}

TEST_P(Conformance, FullMailboxSaysSoAndRecovers) {
  Fabric fabric(GetParam());
  fill_and_empty(fabric, kMaxMessage);
}

TEST_P(Conformance, SoDoesOneFullOfTheLongest) {
  Fabric fabric(GetParam());
  fill_and_empty(fabric, fabric.transport(0).longest_message());
}

/// One direction of traffic: message i has a size and content that follow from (salt, i).
struct Traffic {
  explicit Traffic(std::uint64_t s) : salt(s) {}
  [[nodiscard]] Bytes message(std::uint64_t i) const {
    std::uint64_t h = (i + salt) * 0x9E3779B97F4A7C15u;
    h ^= h >> 29;
    const bool is_long = h % 64 == 0;
    return pattern(1 + (h >> 8) % (is_long ? kMaxMessage : 80), h);
  }
  void send_some(Endpoint& from, std::uint64_t total, std::uint64_t most) {
    for (; most > 0 && sent < total && from.send(message(sent), {}); --most) ++sent;
  }
  void receive_some(Endpoint& to, std::uint64_t most) {
    for (; most > 0 && !to.front().empty(); --most) {
      ASSERT_TRUE(same(to.front(), message(received))) << "message " << received;
      to.pop();
      ++received;
    }
  }
  std::uint64_t salt;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
};

TEST_P(Conformance, ManyMessagesBothWaysAreNeitherLostNorDoubled) {
  constexpr std::uint64_t kTotal = 100'000;
  Fabric fabric(GetParam());
  Traffic there(1);
  Traffic back(2);
  std::mt19937 random(20);
  ASSERT_TRUE(fabric.until([&] {
    for (int burst = 0; burst < 8 && !HasFatalFailure(); ++burst) {
      there.send_some(fabric.endpoint(0, 1), kTotal, random() % 16);
      back.send_some(fabric.endpoint(1, 0), kTotal, random() % 16);
      there.receive_some(fabric.endpoint(1, 0), random() % 16);
      back.receive_some(fabric.endpoint(0, 1), random() % 16);
    }
    return HasFatalFailure() || (there.received == kTotal && back.received == kTotal);
  }));
  fabric.step_some();
  EXPECT_TRUE(fabric.endpoint(0, 1).front().empty());
  EXPECT_TRUE(fabric.endpoint(1, 0).front().empty());
}

TEST_P(Conformance, LinksOfOneRankAreIndependent) {
  constexpr int kRanks = 4;
  Fabric fabric(GetParam(), kRanks);
  for (int from = 0; from < kRanks; ++from) {
    for (int to = 0; to < kRanks; ++to) {
      if (from == to) continue;
      const auto seed = static_cast<std::uint64_t>(from * kRanks + to);
      fabric.send(fabric.endpoint(from, to), pattern(500, seed));
      fabric.signal(fabric.endpoint(from, to), static_cast<Lane>(to));
    }
  }
  for (int to = 0; to < kRanks; ++to) {
    for (int from = 0; from < kRanks; ++from) {
      if (from == to) continue;
      Endpoint& at = fabric.endpoint(to, from);
      ASSERT_TRUE(fabric.until([&] { return !at.front().empty(); }));
      const auto seed = static_cast<std::uint64_t>(from * kRanks + to);
      EXPECT_TRUE(same(at.front(), pattern(500, seed)));
      fabric.expect_arrived(at, static_cast<Lane>(to), 1);
    }
  }
}

}  // namespace paceline::transport::conformance
