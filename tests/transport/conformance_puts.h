// Conformance: puts, counters, registrations, and the optional abilities.
#pragma once

#include "transport/fabric.h"

namespace paceline::transport::conformance {

TEST_P(Conformance, PutsOfEverySizeAndAlignmentWriteTheirSliceAndNothingElse) {
  constexpr std::size_t kGuard = 128;
  constexpr std::size_t kLargest = std::size_t{16} << 20;
  Fabric fabric(GetParam());
  SharedMemory memory(kLargest + 2 * kGuard + 64);
  auto registration = fabric.transport(1).register_memory(memory.view());
  ASSERT_NE(registration->key(), kNoKey);
  Bytes source(kLargest + 64);
  std::uint64_t puts = 0;
  for (std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{8}, std::size_t{63},
        std::size_t{64}, std::size_t{65}, std::size_t{4095}, std::size_t{4096},
        (std::size_t{64} << 10) + 1, (std::size_t{1} << 20) + 3, kLargest}) {
    for (std::size_t shift : {std::size_t{0}, std::size_t{1}, std::size_t{13}}) {
      if (size == kLargest && shift != 13) continue;
      const std::size_t at = kGuard + shift;
      std::fill_n(memory.data(), at + size + kGuard, std::byte{0xEE});
      const std::span<std::byte> from(source.data() + (shift * 5) % 16, size);
      fill(from, puts);
      fabric.put(fabric.endpoint(0, 1), 0, from, nullptr, remote(memory.data(), *registration, at));
      fabric.expect_arrived(fabric.endpoint(1, 0), 0, ++puts);
      ASSERT_TRUE(same(memory.slice(at, size), from)) << size << " bytes, shift " << shift;
      const Bytes before(at, std::byte{0xEE});
      const Bytes after(kGuard, std::byte{0xEE});
      ASSERT_TRUE(same(memory.slice(0, at), before)) << size;
      ASSERT_TRUE(same(memory.slice(at + size, kGuard), after)) << size;
      fabric.flush(fabric.endpoint(0, 1));
    }
  }
}

TEST_P(Conformance, PutsFromRegisteredSources) {
  Fabric fabric(GetParam());
  SharedMemory source(100'000);
  SharedMemory target(100'000);
  fill(source.all(), 3);
  auto ours = fabric.transport(0).register_memory(source.view());
  auto theirs = fabric.transport(1).register_memory(target.view());
  fabric.put(fabric.endpoint(0, 1), 3, source.slice(17, 90'001), ours.get(),
             remote(target.data(), *theirs, 5));
  fabric.expect_arrived(fabric.endpoint(1, 0), 3, 1);
  EXPECT_TRUE(same(target.slice(5, 90'001), source.slice(17, 90'001)));
  fabric.flush(fabric.endpoint(0, 1));
}

TEST_P(Conformance, MemoryThatIsNotShareableIsPutIntoOrHasNoKey) {
  Fabric fabric(GetParam());
  Bytes memory(10'000);
  auto registration = fabric.transport(1).register_memory({memory.data(), memory.size(), -1});
  const Bytes data = pattern(9'000, 5);
  if (registration->key() == kNoKey) {
    // Staged: a put into it is an error and never a write.
    (void)fabric.until_error({[&] {
                                (void)fabric.endpoint(0, 1).put(
                                    0, data, nullptr, remote(memory.data(), *registration));
                              },
                              [&] { (void)fabric.endpoint(1, 0).front(); }});
    EXPECT_TRUE(same(memory, Bytes(10'000)));
    return;
  }
  fabric.put(fabric.endpoint(0, 1), 0, data, nullptr, remote(memory.data(), *registration, 1'000));
  fabric.expect_arrived(fabric.endpoint(1, 0), 0, 1);
  EXPECT_TRUE(same(ConstBytes(memory).subspan(1'000), data));
  fabric.flush(fabric.endpoint(0, 1));
}

TEST_P(Conformance, CountersOfLanesAreIndependent) {
  Fabric fabric(GetParam());
  SharedMemory memory(4096);
  auto registration = fabric.transport(1).register_memory(memory.view());
  const Bytes data = pattern(32, 1);
  for (Lane lane = 0; lane < kMaxLanes; ++lane) {
    for (Lane i = 0; i < lane; ++i) {
      if (i % 2 == 0) {
        fabric.signal(fabric.endpoint(0, 1), lane);
      } else {
        fabric.put(fabric.endpoint(0, 1), lane, data, nullptr,
                   remote(memory.data(), *registration, lane * 64));
      }
    }
  }
  fabric.put(fabric.endpoint(0, 1), 0, {}, nullptr, {});  // a put of nothing is a signal
  for (Lane lane = 0; lane < kMaxLanes; ++lane) {
    fabric.expect_arrived(fabric.endpoint(1, 0), lane, lane == 0 ? 1 : lane);
    EXPECT_EQ(fabric.endpoint(0, 1).arrived(lane), 0u) << "the putter's own counter";
  }
  fabric.flush(fabric.endpoint(0, 1));
}

TEST_P(Conformance, CounterCoversEveryPutBeforeIt) {
  // Thousands of small puts, retried when the queue is full; the reader looks at random moments
  // and then everything that the counter covers must be there.
  constexpr std::size_t kPuts = 20'000;
  constexpr std::size_t kBytes = 24;
  Fabric fabric(GetParam());
  SharedMemory target(kPuts * kBytes);
  const Bytes source = pattern(kPuts * kBytes, 77);
  auto registration = fabric.transport(1).register_memory(target.view());
  Endpoint& from = fabric.endpoint(0, 1);
  Endpoint& to = fabric.endpoint(1, 0);
  std::mt19937 random(3);
  std::size_t put = 0;
  std::size_t seen = 0;
  ASSERT_TRUE(fabric.until([&] {
    for (std::size_t most = random() % 200; most > 0 && put < kPuts; --most) {
      const std::size_t offset = put * kBytes;
      if (!from.put(2, ConstBytes(source).subspan(offset, kBytes), nullptr,
                    remote(target.data(), *registration, offset))) {
        break;
      }
      ++put;
    }
    if (random() % 3 != 0) return false;
    const std::size_t arrived = to.arrived(2);
    EXPECT_GE(arrived, seen);
    EXPECT_LE(arrived, put);
    const std::size_t fresh = (arrived - seen) * kBytes;
    EXPECT_TRUE(
        same(target.slice(seen * kBytes, fresh), ConstBytes(source).subspan(seen * kBytes, fresh)));
    seen = arrived;
    return seen == kPuts || HasFailure();
  }));
  fabric.flush(from);
}

TEST_P(Conformance, LargePutsOnTwoLanesBothArrive) {
  constexpr std::size_t kBytes = std::size_t{3} << 20;
  Fabric fabric(GetParam());
  SharedMemory target(2 * kBytes);
  auto registration = fabric.transport(1).register_memory(target.view());
  const Bytes source = pattern(2 * kBytes, 9);
  for (Lane lane = 0; lane < 2; ++lane) {
    fabric.put(fabric.endpoint(0, 1), lane, ConstBytes(source).subspan(lane * kBytes, kBytes),
               nullptr, remote(target.data(), *registration, lane * kBytes));
  }
  for (Lane lane : {1u, 0u}) {
    fabric.expect_arrived(fabric.endpoint(1, 0), lane, 1);
    EXPECT_TRUE(same(target.slice(lane * kBytes, kBytes),
                     ConstBytes(source).subspan(lane * kBytes, kBytes)));
  }
  fabric.flush(fabric.endpoint(0, 1));
}

TEST_P(Conformance, PutsOfSeveralRanksIntoOneRegistration) {
  constexpr int kRanks = 4;
  constexpr std::size_t kBytes = 70'000;
  Fabric fabric(GetParam(), kRanks);
  SharedMemory target(kRanks * kBytes);
  auto registration = fabric.transport(0).register_memory(target.view());
  std::vector<Bytes> sources(kRanks);
  for (int from = 1; from < kRanks; ++from) {
    const auto i = static_cast<std::size_t>(from);
    sources[i] = pattern(kBytes, i);
    fabric.put(fabric.endpoint(from, 0), 0, sources[i], nullptr,
               remote(target.data(), *registration, i * kBytes));
  }
  for (int from = 1; from < kRanks; ++from) {
    const auto i = static_cast<std::size_t>(from);
    fabric.expect_arrived(fabric.endpoint(0, from), 0, 1);
    EXPECT_TRUE(same(target.slice(i * kBytes, kBytes), sources[i]));
    fabric.flush(fabric.endpoint(from, 0));
  }
}

TEST_P(Conformance, RegistrationsMadeBeforeAndAfterTheLinkWork) {
  Fabric fabric(GetParam());
  SharedMemory early(8192);
  auto first = fabric.transport(1).register_memory(early.view());
  fabric.slot(0, 1)->close();
  fabric.slot(1, 0)->close();
  fabric.link(0, 1);
  SharedMemory late(8192);
  auto second = fabric.transport(1).register_memory(late.view());
  const Bytes data = pattern(8192, 11);
  fabric.put(fabric.endpoint(0, 1), 0, data, nullptr, remote(early.data(), *first));
  fabric.put(fabric.endpoint(0, 1), 0, data, nullptr, remote(late.data(), *second));
  fabric.expect_arrived(fabric.endpoint(1, 0), 0, 2);
  EXPECT_TRUE(same(early.all(), data));
  EXPECT_TRUE(same(late.all(), data));
}

/// Puts into `target` until one of the two ends reports it.
inline void expect_refused(Fabric& fabric, RemoteAddress target, std::size_t size) {
  const Bytes data(size, std::byte{0x55});
  const Error error =
      fabric.until_error({[&] { (void)fabric.endpoint(0, 1).put(0, data, nullptr, target); },
                          [&] { (void)fabric.endpoint(1, 0).front(); }});
  EXPECT_TRUE(error.peer() == 0 || error.peer() == 1) << error.what();
}

TEST_P(Conformance, PutOutsideTheRegistrationIsAnErrorAndNeverAWrite) {
  constexpr std::size_t kBytes = 8192;
  constexpr std::uint64_t kWrap = ~std::uint64_t{0} - 8;  // offset + length overflows
  for (std::uint64_t offset : {std::uint64_t{kBytes - 15}, std::uint64_t{kBytes},
                               ~std::uint64_t{0} /* one byte before */, kWrap}) {
    Fabric fabric(GetParam());
    // Guarded by pages of the same mapping, which the registration does not cover.
    SharedMemory memory(3 * kBytes);
    auto registration =
        fabric.transport(1).register_memory({memory.data(), kBytes, memory.view().shareable_fd});
    expect_refused(fabric, remote(memory.data(), *registration, offset), 16);
    EXPECT_TRUE(same(memory.all(), Bytes(3 * kBytes))) << offset;
  }
}

TEST_P(Conformance, PutWithAnUnknownKeyIsAnErrorAndNeverAWrite) {
  for (std::uint64_t wrong : {kNoKey, std::uint64_t{0xDEADBEEF}, ~std::uint64_t{0}}) {
    Fabric fabric(GetParam());
    SharedMemory memory(4096);
    auto registration = fabric.transport(1).register_memory(memory.view());
    RemoteAddress target = remote(memory.data(), *registration);
    target.key = wrong;
    expect_refused(fabric, target, 64);
    EXPECT_TRUE(same(memory.all(), Bytes(4096)));
  }
}

TEST_P(Conformance, RegisteringTheSameAddressAgainGivesANewNameAndEndsTheOld) {
  Fabric fabric(GetParam());
  SharedMemory memory(8192);
  auto registration = fabric.transport(1).register_memory(memory.view());
  const RemoteAddress old = remote(memory.data(), *registration);
  const Bytes data = pattern(8192, 2);
  fabric.put(fabric.endpoint(0, 1), 0, data, nullptr, old);
  fabric.expect_arrived(fabric.endpoint(1, 0), 0, 1);
  fabric.flush(fabric.endpoint(0, 1));
  registration.reset();

  // The same address with other pages behind it.
  SharedMemory other(8192);
  void* moved = ::mmap(memory.data(), 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                       other.view().shareable_fd, 0);
  ASSERT_EQ(moved, memory.data());
  registration =
      fabric.transport(1).register_memory({memory.data(), 8192, other.view().shareable_fd});
  EXPECT_NE(registration->key(), old.key);
  const Bytes fresh = pattern(8192, 3);
  fabric.put(fabric.endpoint(0, 1), 0, fresh, nullptr, remote(memory.data(), *registration));
  fabric.expect_arrived(fabric.endpoint(1, 0), 0, 2);
  EXPECT_TRUE(same(memory.all(), fresh));
  fabric.flush(fabric.endpoint(0, 1));

  expect_refused(fabric, old, 4096);
  EXPECT_TRUE(same(memory.all(), fresh));
}

TEST_P(Conformance, ManyRegistrationsComeAndGo) {
  Fabric fabric(GetParam());
  const Bytes data = pattern(4096, 1);
  for (std::uint64_t i = 0; i < 500; ++i) {
    SharedMemory memory(4096);
    auto registration = fabric.transport(1).register_memory(memory.view());
    fabric.put(fabric.endpoint(0, 1), 1, data, nullptr, remote(memory.data(), *registration));
    fabric.expect_arrived(fabric.endpoint(1, 0), 1, i + 1);
    ASSERT_TRUE(same(memory.all(), data));
    fabric.flush(fabric.endpoint(0, 1));
  }
}

TEST_P(Conformance, MappedMemoryIsTheSameMemory) {
  Fabric fabric(GetParam());
  SharedMemory memory(16'384);
  auto registration = fabric.transport(1).register_memory(memory.view());
  Endpoint& from = fabric.endpoint(0, 1);
  fill(memory.all(), 1);
  EXPECT_EQ(from.maps(), fabric.endpoint(1, 0).maps());
  if (!from.maps()) {
    EXPECT_EQ(from.map(remote(memory.data(), *registration), 1), nullptr);
    return;
  }
  std::byte* mapped = nullptr;
  ASSERT_TRUE(fabric.until([&] {
    mapped = from.map(remote(memory.data(), *registration, 100), 10'000);
    return mapped != nullptr;
  }));
  EXPECT_TRUE(same({mapped, 10'000}, memory.slice(100, 10'000)));
  EXPECT_EQ(from.map(remote(memory.data(), *registration), 16'384), mapped - 100);
  fill({mapped, 10'000}, 2);
  fabric.signal(from, 4);
  fabric.expect_arrived(fabric.endpoint(1, 0), 4, 1);
  EXPECT_TRUE(same(memory.slice(100, 10'000), pattern(10'000, 2)));
  EXPECT_THROW((void)from.map(remote(memory.data(), *registration, 16'000), 385), Error);
}

// A rank that gives up closes before it uses its buffers again.
TEST_P(Conformance, WhoHasReadMappedMemoryHearsAtOnceThatThePeerHasClosed) {
  Fabric fabric(GetParam());
  SharedMemory memory(4096);
  auto registration = fabric.transport(1).register_memory(memory.view());
  Endpoint& from = fabric.endpoint(0, 1);
  if (!from.maps()) return;
  ASSERT_TRUE(fabric.until(
      [&] { return from.map(remote(memory.data(), *registration), 4096) != nullptr; }));
  fabric.slot(1, 0)->close();
  EXPECT_THROW((void)from.signal(0), Error);
  const Bytes data = pattern(64, 1);
  EXPECT_THROW((void)from.put(0, data, nullptr, remote(memory.data(), *registration)), Error);
}

TEST_P(Conformance, GetReadsThePeersMemory) {
  Fabric fabric(GetParam());
  SharedMemory memory(200'000);
  fill(memory.all(), 6);
  auto registration = fabric.transport(1).register_memory(memory.view());
  Bytes into(150'001);
  Endpoint& at = fabric.endpoint(0, 1);
  EXPECT_TRUE(at.can_get() || !at.get_beats_copies());
  if (!at.can_get()) {
    EXPECT_FALSE(at.get(into, remote(memory.data(), *registration)));
    return;
  }
  ASSERT_TRUE(fabric.until([&] { return at.get(into, remote(memory.data(), *registration, 77)); }));
  EXPECT_TRUE(same(into, memory.slice(77, into.size())));
  // And what nobody has registered.
  Bytes plain = pattern(5'000, 8);
  into.resize(5'000);
  ASSERT_TRUE(fabric.until([&] {
    return at.get(into, {reinterpret_cast<std::uintptr_t>(plain.data()), kNoKey});
  }));
  EXPECT_TRUE(same(into, plain));
}

}  // namespace paceline::transport::conformance
