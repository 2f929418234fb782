#include "common/sizes.h"

#include <gtest/gtest.h>

namespace paceline::bench {
namespace {

TEST(Sizes, PlainAndWithSuffix) {
  EXPECT_EQ(size_from("0"), 0U);
  EXPECT_EQ(size_from("8"), 8U);
  EXPECT_EQ(size_from("4K"), 4096U);
  EXPECT_EQ(size_from("4k"), 4096U);
  EXPECT_EQ(size_from("128M"), 128U << 20);
  EXPECT_EQ(size_from("2g"), std::uint64_t{2} << 30);
}

TEST(Sizes, WhatIsNoSizeIsRefused) {
  for (const char* text : {"", "K", "-1", "1.5M", "8 ", " 8", "8KB", "8T", "0x8", "M8",
                           "18446744073709551616", "18446744073709551615K"}) {
    EXPECT_EQ(size_from(text), std::nullopt) << text;
  }
}

TEST(Sizes, SweepByFactorEndsAtOrBelowTheEnd) {
  EXPECT_EQ(sweep(8, 128, 0, 4), (std::vector<std::uint64_t>{8, 32, 128}));
  EXPECT_EQ(sweep(8, 127, 0, 4), (std::vector<std::uint64_t>{8, 32}));
  EXPECT_EQ(sweep(8, 8, 1, 2), (std::vector<std::uint64_t>{8}));
}

TEST(Sizes, SweepByStep) {
  EXPECT_EQ(sweep(10, 30, 10, 1), (std::vector<std::uint64_t>{10, 20, 30}));
  EXPECT_EQ(sweep(10, 30, 0, 1), (std::vector<std::uint64_t>{10}));
  EXPECT_EQ(sweep(0, 8, 8, 1), (std::vector<std::uint64_t>{0, 8}));
}

TEST(Sizes, SweepFromZeroByFactorStillEnds) {
  EXPECT_EQ(sweep(0, 8, 4, 2), (std::vector<std::uint64_t>{0, 4, 8}));
}

TEST(Sizes, SweepToTheLargestNumberEnds) {
  const auto most = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(sweep(most - 1, most, 1, 1), (std::vector<std::uint64_t>{most - 1, most}));
  EXPECT_EQ(sweep(most / 2, most, 0, 3), (std::vector<std::uint64_t>{most / 2}));
}

}  // namespace
}  // namespace paceline::bench
