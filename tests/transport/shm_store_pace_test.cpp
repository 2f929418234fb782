// When stores into a peer's memory go past the caches, and when they come back.
#include "transport_shm/store_pace.h"

#include <gtest/gtest.h>

#include <vector>

namespace paceline::transport::shm {
namespace {

constexpr std::size_t kPut = 64 * 1024;
constexpr std::size_t kLines = StorePace::kTimed / 64;
constexpr StoreLimits kLimits = {10, 1024 * 1024};
constexpr Ticks kQuick = 5 * kLines;
constexpr Ticks kSlow = 30 * kLines;
constexpr int kToSettle = kLimits.settle_bytes / kPut;
constexpr int kToDecide = kToSettle + static_cast<int>(StorePace::kVotes);
/// From the first way by the second to the third, without the put that decides.
constexpr int kToStream = 2 * (kToDecide - 1);

void puts(StorePace& pace, int count, Ticks each) {
  for (int i = 0; i < count; ++i) pace.took(kPut, each);
}

TEST(StorePace, QuickStoresStayInTheCaches) {
  StorePace pace(kLimits);
  puts(pace, 10 * kToDecide, kQuick);
  EXPECT_FALSE(pace.streams());
  EXPECT_TRUE(pace.keeps_lines());
}

TEST(StorePace, SlowOnesGoToOtherLinesAndThenPastTheCachesOnceTheyHaveSettled) {
  StorePace pace(kLimits);
  puts(pace, kToDecide - 2, kSlow);
  EXPECT_TRUE(pace.keeps_lines());
  puts(pace, 1, kSlow);
  EXPECT_FALSE(pace.keeps_lines());
  puts(pace, kToDecide - 2, kSlow);
  EXPECT_FALSE(pace.streams());
  puts(pace, 1, kSlow);
  EXPECT_TRUE(pace.streams());
  EXPECT_FALSE(pace.keeps_lines());
}

TEST(StorePace, WhereOtherLinesAreQuickKeepingIsTriedAgainAndMoreSeldomEachTime) {
  StorePace pace(kLimits);
  const auto held = [&] {
    for (int i = 0; i < kToDecide && pace.keeps_lines(); ++i) pace.took(kPut, kSlow);
    EXPECT_FALSE(pace.keeps_lines());
    std::uint64_t bytes = 0;
    for (; !pace.keeps_lines() && !pace.streams(); bytes += kPut) pace.took(kPut, kQuick);
    EXPECT_FALSE(pace.streams());
    return bytes;
  };
  const std::uint64_t first = held();
  EXPECT_GE(first, StorePace::kFirstHold);
  EXPECT_LT(first, StorePace::kFirstHold + StorePace::kVotes * kPut);
  EXPECT_GE(held(), 2 * StorePace::kFirstHold);
  while (held() < StorePace::kLongestHold) {
  }
  EXPECT_LT(held(), StorePace::kLongestHold + StorePace::kVotes * kPut);
  puts(pace, kToDecide - 1, kQuick);
  EXPECT_TRUE(pace.keeps_lines());
  EXPECT_LT(held(), 2 * StorePace::kFirstHold);
}

TEST(StorePace, WhatGoesOverOtherLinksSettlesItToo) {
  StorePace pace(kLimits);
  constexpr std::size_t kLinks = 4;
  for (int i = 0; i < kToSettle / 4 + static_cast<int>(StorePace::kVotes) - 1; ++i) {
    EXPECT_TRUE(pace.keeps_lines());
    pace.took(kPut, kSlow, kLinks);
  }
  EXPECT_FALSE(pace.keeps_lines());
}

TEST(StorePace, AFewThatLostTheirCoreDecideNothing) {
  StorePace pace(kLimits);
  for (int i = 0; i < 10 * kToDecide; ++i) pace.took(kPut, i % 3 == 0 ? 1000 * kSlow : kQuick);
  EXPECT_TRUE(pace.keeps_lines());
}

TEST(StorePace, TriesTheOtherWayAgainAndWaitsLongerEachTime) {
  StorePace pace(kLimits);
  const auto held = [&] {
    for (int i = 0; i < kToStream && !pace.streams(); ++i) pace.took(kPut, kSlow);
    EXPECT_TRUE(pace.streams());
    std::uint64_t bytes = 0;
    for (; pace.streams(); bytes += kPut) pace.took(kPut, kQuick);
    return bytes;
  };
  std::uint64_t expected = StorePace::kFirstHold;
  for (int i = 0; i < 3; ++i, expected *= 2) EXPECT_EQ(held(), expected);
  while (expected < StorePace::kLongestHold) {
    EXPECT_EQ(held(), expected);
    expected *= 2;
  }
  EXPECT_EQ(held(), StorePace::kLongestHold);
  EXPECT_EQ(held(), StorePace::kLongestHold);
  puts(pace, kToDecide - 1, kQuick);  // the ranks have moved together
  EXPECT_FALSE(pace.streams());
  EXPECT_EQ(held(), StorePace::kFirstHold);
}

TEST(StorePace, WhatThePeerTakesByItselfBringsTheOtherWayNearer) {
  StorePace pace(kLimits);
  pace.skipped(10 * StorePace::kLongestHold);
  EXPECT_TRUE(pace.keeps_lines());
  puts(pace, kToStream, kSlow);
  ASSERT_TRUE(pace.streams());
  pace.skipped(StorePace::kFirstHold - kPut);
  EXPECT_TRUE(pace.streams());
  pace.skipped(kPut);
  EXPECT_FALSE(pace.streams());
}

TEST(StorePace, WithoutALimitNothingIsStreamed) {
  const StoreLimits none = {};
  StorePace pace(none);
  puts(pace, 10 * kToDecide, kSlow);
  EXPECT_FALSE(pace.streams());
}

TEST(StorePace, CopiesEitherWay) {
  const StoreLimits always_slow = {1e-9, 0};
  StorePace pace(always_slow);
  // Not timed, timed as a whole, with a beginning before that, and with an end behind it.
  const std::size_t lengths[] = {7,
                                 StorePace::kShortest + 100,
                                 StorePace::kTimed,
                                 StorePace::kTimed + 100,
                                 StorePace::kBefore + StorePace::kTimed,
                                 StorePace::kBefore + StorePace::kTimed + 100};
  std::vector<std::byte> source(lengths[5]);
  for (std::size_t i = 0; i < source.size(); ++i)
    source[i] = static_cast<std::byte>(i * 5 + i / 256);
  for (std::uint32_t i = 0; i < 3 * StorePace::kVotes; ++i) {
    for (const std::size_t bytes : lengths) {
      std::vector<std::byte> target(source.size());
      pace.copy(target.data(), source.data(), bytes);
      EXPECT_TRUE(std::equal(source.begin(), source.begin() + static_cast<std::ptrdiff_t>(bytes),
                             target.begin()));
    }
  }
  EXPECT_TRUE(pace.streams());
}

TEST(StorePace, ThisMachinesLimitIsATimeThatALineCanTake) {
  EXPECT_GT(store_limits().ticks_per_line, 0.1);
  EXPECT_LT(store_limits().ticks_per_line, 100'000);
  EXPECT_GT(store_limits().settle_bytes, 0u);
}

}  // namespace
}  // namespace paceline::transport::shm
