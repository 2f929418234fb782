// The registrar finds the region that covers a buffer, and forgets what is gone.
#include "memory/registrar.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <random>
#include <thread>
#include <vector>

#include "paceline/error.h"

namespace paceline::memory {
namespace {

// A wire that only counts what is registered with it.
class CountingTransport final : public transport::Transport {
 public:
  class Entry final : public transport::Registration {
   public:
    Entry(CountingTransport& owner, std::uint64_t key) : owner_(owner), key_(key) { ++owner_.live; }
    ~Entry() override { --owner_.live; }
    std::uint64_t key() const override { return key_; }

   private:
    CountingTransport& owner_;
    std::uint64_t key_;
  };

  std::string_view name() const override { return "counting"; }
  Bytes describe() const override { return {}; }
  transport::Reachable reachable(ConstBytes) const override { return {true, ""}; }
  transport::SocketNeed sockets() const override { return {}; }
  std::unique_ptr<transport::Connector> connect(int, transport::Role,
                                                std::vector<UniqueFd>) override {
    return nullptr;
  }
  std::unique_ptr<transport::Registration> register_memory(
      const transport::MemoryView& memory) override {
    last = memory;
    return std::make_unique<Entry>(*this, ++made);
  }
  void progress() override {}
  bool needs_progress() const override { return false; }
  bool prepare_sleep(std::vector<pollfd>&) override { return true; }

  int live = 0;
  std::uint64_t made = 0;
  transport::MemoryView last = {};
};

struct RegistrarTest : testing::Test {
  CountingTransport wire;
  std::shared_ptr<std::recursive_mutex> lock = std::make_shared<std::recursive_mutex>();
  std::shared_ptr<Registrar> registrar =
      std::make_shared<Registrar>(std::vector<transport::Transport*>{&wire}, lock);
};

TEST_F(RegistrarTest, AllocatedMemoryIsZeroedAlignedAndShareable) {
  const auto region = registrar->allocate(1000, Device::host());
  EXPECT_EQ(region->size(), 1000u);
  EXPECT_TRUE(region->mappable());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(region->data()) % 64, 0u);
  EXPECT_TRUE(std::all_of(region->data(), region->data() + 1000,
                          [](std::byte b) { return b == std::byte{0}; }));
  EXPECT_GE(wire.last.shareable_fd, 0);
  EXPECT_EQ(wire.last.data, region->data());
}

TEST_F(RegistrarTest, TheSameRangeIsRegisteredOnce) {
  std::vector<std::byte> buffer(4096);
  auto first = registrar->register_memory(buffer.data(), buffer.size());
  auto second = registrar->register_memory(buffer.data(), buffer.size());
  EXPECT_EQ(first, second);
  EXPECT_EQ(wire.made, 1u);
  first.reset();
  EXPECT_EQ(wire.live, 1);
  second.reset();
  EXPECT_EQ(wire.live, 0);
}

TEST_F(RegistrarTest, CoverRegistersForTheOperationOnly) {
  std::vector<std::byte> buffer(4096);
  EXPECT_EQ(registrar->find(buffer.data(), 16), nullptr);
  {
    const auto region = registrar->cover(buffer.data(), 4096);
    EXPECT_EQ(region->origin(), Origin::temporary);
    EXPECT_EQ(wire.live, 1);
  }
  EXPECT_EQ(wire.live, 0);
  EXPECT_EQ(registrar->find(buffer.data(), 16), nullptr);
}

// The classic bug of registration caches: the order of overlapping ranges. Held against a list
// that is searched from end to end.
TEST_F(RegistrarTest, FindsWhatANaiveListFinds) {
  std::vector<std::byte> arena(1 << 16);
  std::vector<std::shared_ptr<Region>> held;
  std::mt19937_64 random(7);
  const auto pick = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
  int found = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (held.size() < 40 && pick(2) == 0) {
      const std::size_t length = 1 + pick(pick(8) == 0 ? 30'000 : 500);
      held.push_back(registrar->register_memory(&arena[pick(arena.size() - length)], length));
    } else if (!held.empty() && pick(2) == 0) {
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(pick(held.size())));
    }
    const std::size_t length = 1 + pick(400);
    const std::byte* at = &arena[pick(arena.size() - length)];
    const bool expected =
        std::any_of(held.begin(), held.end(), [&](const auto& r) { return r->covers(at, length); });
    const auto region = registrar->find(at, length);
    ASSERT_EQ(region != nullptr, expected) << "step " << i;
    if (region != nullptr) {
      ASSERT_TRUE(region->covers(at, length));
      ++found;
    }
  }
  EXPECT_GT(found, 1000);
}

TEST_F(RegistrarTest, NothingIsRegisteredAfterCloseAndMemoryStaysUsable) {
  const auto region = registrar->allocate(4096, Device::host());
  region->data()[17] = std::byte{42};
  registrar->close(Registrar::Sever::yes);
  EXPECT_EQ(wire.live, 0);
  EXPECT_EQ(region->registration(0), nullptr);
  EXPECT_EQ(region->data()[17], std::byte{42});
  region->data()[17] = std::byte{43};
  const auto later = registrar->allocate(100, Device::host());
  EXPECT_EQ(later->registration(0), nullptr);
}

TEST_F(RegistrarTest, MemoryOutlivesTheRegistrar) {
  const auto region = registrar->allocate(4096, Device::host());
  registrar->close(Registrar::Sever::no);
  registrar.reset();
  region->data()[0] = std::byte{1};
  EXPECT_EQ(region->data()[0], std::byte{1});
}

// What a process that was stopped for a while still writes through its own mapping must not be
// seen once the communicator has failed.
TEST_F(RegistrarTest, SeveredMemoryNoLongerShowsWhatOthersWrite) {
  const auto region = registrar->allocate(3 * 4096, Device::host());
  void* theirs = ::mmap(nullptr, region->size(), PROT_READ | PROT_WRITE, MAP_SHARED,
                        wire.last.shareable_fd, 0);
  ASSERT_NE(theirs, MAP_FAILED);
  auto* bytes = static_cast<std::byte*>(theirs);
  bytes[5000] = std::byte{1};
  EXPECT_EQ(region->data()[5000], std::byte{1});
  const std::byte* before = region->data();
  registrar->close(Registrar::Sever::yes);
  EXPECT_EQ(region->data(), before);
  EXPECT_EQ(region->data()[5000], std::byte{1});
  bytes[5000] = std::byte{2};
  EXPECT_EQ(region->data()[5000], std::byte{1});
  ::munmap(theirs, region->size());
}

TEST_F(RegistrarTest, ThreadsMayDropRegionsWhileOthersLookForThem) {
  std::vector<std::byte> arena(1 << 16);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        const auto region =
            registrar->register_memory(&arena[static_cast<std::size_t>(i % 7)], 512);
        const std::lock_guard guard(*lock);
        EXPECT_NE(registrar->find(&arena[static_cast<std::size_t>(8 + t)], 8), nullptr);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wire.live, 0);
}

TEST(HostMemory, TooMuchIsAnErrorWithAText) {
  try {
    (void)host_memory().allocate(std::size_t{1} << 50);
    FAIL() << "a petabyte was allocated";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    EXPECT_NE(std::string(error.what()).find("1125899906842624 bytes"), std::string::npos);
  }
}

}  // namespace
}  // namespace paceline::memory
