#include "engine/rotating_memory.h"

#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <vector>

namespace paceline::engine {
namespace {

struct RotatingMemoryTest : testing::Test {
  std::shared_ptr<memory::Registrar> registrar = std::make_shared<memory::Registrar>(
      std::vector<transport::Transport*>{}, std::make_shared<std::recursive_mutex>());
  RotatingMemory memory{registrar};
  void TearDown() override { registrar->close(memory::Registrar::Sever::no); }
};

TEST_F(RotatingMemoryTest, GoesOnToOtherBytesUntilALapEnds) {
  constexpr std::size_t kLap = 1024 * 1024;
  constexpr std::size_t kBytes = 50'000;
  std::set<std::byte*> places;
  std::byte* const first = memory.take(kBytes, kLap);
  std::byte* last = first;
  for (std::byte* place = first; places.insert(place).second; place = memory.take(kBytes, kLap)) {
    EXPECT_TRUE(memory.region()->covers(place, kBytes));
    EXPECT_TRUE(place == first || place - last >= static_cast<std::ptrdiff_t>(kBytes));
    last = place;
  }
  EXPECT_GT(places.size() * (kBytes + 4096), kLap - kBytes);
  EXPECT_EQ(memory.size(), kLap);
}

TEST_F(RotatingMemoryTest, WithoutALapItIsAlwaysTheSame) {
  constexpr std::size_t kBytes = 100'000;
  std::byte* const place = memory.take(kBytes, 0);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(memory.take(kBytes, 0), place);
}

TEST_F(RotatingMemoryTest, GrowsToTheLargestNeed) {
  (void)memory.take(1000, 0);
  const std::size_t small = memory.size();
  std::byte* const place = memory.take(10 * small, 0);
  EXPECT_TRUE(memory.region()->covers(place, 10 * small));
  EXPECT_EQ(memory.first(500), memory.region()->data());
}

}  // namespace
}  // namespace paceline::engine
