// Conformance: ends of links, sleeping, and ranks that are threads.
#pragma once

#include "transport/fabric.h"

namespace paceline::transport::conformance {

TEST_P(Conformance, CloseIsNoticedByThePeerAndNamesIt) {
  Fabric fabric(GetParam(), 3);
  fabric.endpoint(2, 1).close();
  fabric.endpoint(2, 1).close();  // idempotent
  const Error error = fabric.until_error({[&] { (void)fabric.endpoint(1, 2).front(); }});
  EXPECT_EQ(error.peer(), 2) << error.what();
  EXPECT_TRUE(error.code() == ErrorCode::peer_failed ||
              error.code() == ErrorCode::transport_failed);
  // It stays so, and says so in whatever would send.
  EXPECT_THROW((void)fabric.endpoint(1, 2).front(), Error);
  EXPECT_THROW((void)fabric.endpoint(1, 2).send(pattern(8, 1), {}), Error);
  EXPECT_THROW((void)fabric.endpoint(1, 2).signal(0), Error);
  // The other links live on.
  fabric.signal(fabric.endpoint(0, 1), 0);
  fabric.signal(fabric.endpoint(0, 2), 0);
  fabric.expect_arrived(fabric.endpoint(1, 0), 0, 1);
  fabric.expect_arrived(fabric.endpoint(2, 0), 0, 1);
}

TEST_P(Conformance, EverythingThrowsAfterOnesOwnClose) {
  Fabric fabric(GetParam());
  SharedMemory memory(4096);
  auto registration = fabric.transport(1).register_memory(memory.view());
  const RemoteAddress target = remote(memory.data(), *registration);
  Endpoint& closed = fabric.endpoint(0, 1);
  closed.close();
  const Bytes data = pattern(8, 1);
  EXPECT_THROW((void)closed.send(data, {}), Error);
  EXPECT_THROW((void)closed.front(), Error);
  EXPECT_THROW((void)closed.put(0, data, nullptr, target), Error);
  EXPECT_THROW((void)closed.signal(0), Error);
  EXPECT_THROW((void)closed.arrived(0), Error);
  EXPECT_THROW((void)closed.flushed(), Error);
}

TEST_P(Conformance, WhatWasFlushedBeforeCloseIsStillReceived) {
  Fabric fabric(GetParam());
  SharedMemory memory(100'000);
  auto registration = fabric.transport(1).register_memory(memory.view());
  const Bytes data = pattern(100'000, 4);
  Endpoint& leaver = fabric.endpoint(0, 1);
  Endpoint& stays = fabric.endpoint(1, 0);
  fabric.put(leaver, 1, data, nullptr, remote(memory.data(), *registration));
  fabric.send(leaver, pattern(100, 1));
  fabric.send(leaver, pattern(200, 2));
  fabric.flush(leaver);
  leaver.close();
  fabric.step_some();
  ASSERT_TRUE(fabric.until([&] { return !stays.front().empty(); }));
  EXPECT_TRUE(same(stays.front(), pattern(100, 1)));
  stays.pop();
  ASSERT_TRUE(fabric.until([&] { return !stays.front().empty(); }));
  EXPECT_TRUE(same(stays.front(), pattern(200, 2)));
  stays.pop();
  EXPECT_EQ(fabric.until_error({[&] { (void)stays.front(); }}).peer(), 0);
  EXPECT_EQ(stays.arrived(1), 1u);
  EXPECT_TRUE(same(memory.all(), data));
}

TEST_P(Conformance, NothingIsReceivedAfterOnesOwnClose) {
  Fabric fabric(GetParam());
  SharedMemory memory(4096);
  auto registration = fabric.transport(1).register_memory(memory.view());
  fabric.endpoint(1, 0).close();
  const Bytes data = pattern(4096, 1);
  (void)fabric.until_error({[&] {
    (void)fabric.endpoint(0, 1).put(0, data, nullptr, remote(memory.data(), *registration));
  }});
}

TEST_P(Conformance, DestroyedEndpointIsNoticedByThePeer) {
  Fabric fabric(GetParam());
  fabric.slot(0, 1).reset();
  EXPECT_EQ(fabric.until_error({[&] { (void)fabric.endpoint(1, 0).front(); }}).peer(), 0);
}

TEST_P(Conformance, ConnectorThatIsGivenUpIsNoticedByThePeer) {
  Fabric fabric(GetParam(), 2);
  if (fabric.transport(0).sockets().count == 0) return;  // nothing to hang up
  auto [dialed, accepted] = stream_pairs(fabric.transport(0).sockets());
  auto given_up = fabric.transport(0).connect(1, Role::dialer, std::move(dialed));
  auto waiting = fabric.transport(1).connect(0, Role::listener, std::move(accepted));
  given_up.reset();
  EXPECT_EQ(fabric.until_error({[&] { (void)waiting->poll(); }}).peer(), 0);
}

TEST_P(Conformance, DestroyedInAnyOrderLeavesNoDescriptor) {
  const std::size_t before = open_descriptors();
  for (int order = 0; order < 6; ++order) {
    Fabric fabric(GetParam());
    SharedMemory memory(8192);
    auto first = fabric.transport(0).register_memory(memory.view());
    auto second = fabric.transport(1).register_memory(memory.view());
    const Bytes data = pattern(8192, 1);
    fabric.put(fabric.endpoint(0, 1), 0, data, nullptr, remote(memory.data(), *second));
    fabric.expect_arrived(fabric.endpoint(1, 0), 0, 1);
    fabric.send(fabric.endpoint(0, 1), pattern(3'000, 1));  // never read
    std::vector<std::function<void()>> acts = {[&] { fabric.slot(0, 1).reset(); },
                                               [&] { fabric.slot(1, 0).reset(); },
                                               [&] { first.reset(); }, [&] { second.reset(); }};
    std::mt19937 random(static_cast<unsigned>(order));
    std::shuffle(acts.begin(), acts.end(), random);
    for (auto& act : acts) {
      act();
      fabric.step_some(2);
    }
    fabric.transports[static_cast<std::size_t>(order % 2)].reset();
    fabric.step();
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_P(Conformance, SleeperIsWokenOrFindsTheNewsByPolling) {
  Fabric fabric(GetParam());
  std::vector<pollfd> descriptors;
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(fabric.until([&] {
      descriptors.clear();
      return fabric.transport(1).prepare_sleep(descriptors);
    }));
    fabric.send(fabric.endpoint(0, 1), pattern(40, static_cast<std::uint64_t>(round)));
    fabric.flush(fabric.endpoint(0, 1));
    const int limit_ms = fabric.world->wakes_by_descriptor() ? 10'000 : 1;
    const Nanoseconds start = steady_now();
    for (;;) {
      const int ready = ::poll(descriptors.data(), descriptors.size(), limit_ms);
      if (fabric.world->wakes_by_descriptor()) {
        ASSERT_GT(ready, 0) << "slept through it";
      }
      fabric.transport(1).progress();
      if (!fabric.endpoint(1, 0).front().empty()) break;
      ASSERT_LT(steady_now() - start, fabric.world->patience());
      (void)fabric.transport(1).prepare_sleep(descriptors = {});
      fabric.world->pass_time();
    }
    fabric.endpoint(1, 0).pop();
  }
}

/// One rank of an exchange with credits, as an engine would run it: puts of a window of slots into
/// the peer, who acknowledges by message what it has checked. A poll function, so the ranks may
/// take turns in one thread or run in two.
class Exchanger {
 public:
  static constexpr std::uint64_t kSlots = 8;
  static constexpr std::uint64_t kLanes = 2;
  static constexpr std::size_t kSlotBytes = 5'000;

  Exchanger(Endpoint& endpoint, std::span<std::byte> own, RemoteAddress peers, std::uint64_t salt,
            std::uint64_t peers_salt, std::uint64_t total)
      : endpoint_(endpoint),
        own_(own),
        peers_(peers),
        salt_(salt),
        peers_salt_(peers_salt),
        total_(total),
        sources_(kSlots) {}

  /// True once everything was sent, checked and acknowledged.
  bool poll() {
    while (!endpoint_.front().empty()) {
      WireReader reader(endpoint_.front());
      acknowledged_ = reader.u64();
      EXPECT_TRUE(reader.finished());
      endpoint_.pop();
    }
    while (put_ < total_ && put_ < acknowledged_ + kSlots && put_one()) ++put_;
    while (checked_ < total_ && check_one()) ++checked_;
    if (checked_ != told_ && endpoint_.send(WireWriter().u64(checked_).bytes(), {})) {
      told_ = checked_;
    }
    return acknowledged_ == total_ && told_ == total_ && endpoint_.flushed();
  }

 private:
  static std::size_t size_of_put(std::uint64_t i) { return 1 + i * 37 % kSlotBytes; }

  bool put_one() {
    Bytes& source = sources_[put_ % kSlots];
    if (!endpoint_.flushed() && put_ >= kSlots) return false;  // its old content may be in use
    source = pattern(size_of_put(put_), put_ + salt_);
    const RemoteAddress target{peers_.address + put_ % kSlots * kSlotBytes, peers_.key};
    return endpoint_.put(static_cast<Lane>(put_ % kLanes), source, nullptr, target);
  }

  bool check_one() {
    const std::uint64_t needed = checked_ / kLanes + 1;
    if (endpoint_.arrived(static_cast<Lane>(checked_ % kLanes)) < needed) return false;
    const std::size_t size = size_of_put(checked_);
    EXPECT_TRUE(same(own_.subspan(checked_ % kSlots * kSlotBytes, size),
                     pattern(size, checked_ + peers_salt_)))
        << "put " << checked_;
    return true;
  }

  Endpoint& endpoint_;
  std::span<std::byte> own_;
  RemoteAddress peers_;
  std::uint64_t salt_;
  std::uint64_t peers_salt_;
  std::uint64_t total_;
  std::vector<Bytes> sources_;
  std::uint64_t put_ = 0;
  std::uint64_t checked_ = 0;
  std::uint64_t told_ = 0;
  std::uint64_t acknowledged_ = 0;
};

/// Two Exchangers and what they need.
struct Exchange {
  Exchange(Fabric& fabric, std::uint64_t total)
      : memory0(Exchanger::kSlots * Exchanger::kSlotBytes),
        memory1(Exchanger::kSlots * Exchanger::kSlotBytes),
        registration0(fabric.transport(0).register_memory(memory0.view())),
        registration1(fabric.transport(1).register_memory(memory1.view())),
        rank0(fabric.endpoint(0, 1), memory0.all(), remote(memory1.data(), *registration1), 1000,
              2000, total),
        rank1(fabric.endpoint(1, 0), memory1.all(), remote(memory0.data(), *registration0), 2000,
              1000, total) {}
  SharedMemory memory0;
  SharedMemory memory1;
  std::unique_ptr<Registration> registration0;
  std::unique_ptr<Registration> registration1;
  Exchanger rank0;
  Exchanger rank1;
};

TEST_P(Conformance, ExchangeWithCreditsInOneThread) {
  Fabric fabric(GetParam());
  Exchange exchange(fabric, 3'000);
  std::mt19937 random(5);
  bool done0 = false;
  bool done1 = false;
  EXPECT_TRUE(fabric.until([&] {
    if (random() % 2 == 0) done0 = exchange.rank0.poll();
    if (random() % 2 == 0) done1 = exchange.rank1.poll();
    return (done0 && done1) || HasFailure();
  }));
}

TEST_P(Conformance, ExchangeWithCreditsInTwoThreads) {
  Fabric fabric(GetParam());
  if (!fabric.world->threads()) return;  // such a wire runs the same exchange in one thread
  Exchange exchange(fabric, 3'000);
  const auto run = [&fabric](Transport& transport, Exchanger& rank) {
    const Nanoseconds start = steady_now();
    while (!rank.poll()) {
      ASSERT_LT(steady_now() - start, fabric.world->patience());
      transport.progress();
      std::this_thread::yield();
    }
  };
  std::thread other([&] { run(fabric.transport(1), exchange.rank1); });
  run(fabric.transport(0), exchange.rank0);
  other.join();
}

}  // namespace paceline::transport::conformance
