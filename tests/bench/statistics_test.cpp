#include "common/statistics.h"

#include <gtest/gtest.h>

#include <numeric>

namespace paceline::bench {
namespace {

TEST(Statistics, PercentilesAreValuesThatWereMeasured) {
  std::vector<double> values(100);
  std::iota(values.rbegin(), values.rend(), 1.0);  // 1..100, in falling order
  EXPECT_EQ(percentile(values, 0.5), 50);
  EXPECT_EQ(percentile(values, 0.99), 99);
  EXPECT_EQ(percentile(values, 1.0), 100);
  EXPECT_EQ(percentile(values, 0.001), 1);
}

TEST(Statistics, PercentilesOfFewValues) {
  EXPECT_EQ(percentile({}, 0.5), 0);
  EXPECT_EQ(percentile({7}, 0.5), 7);
  EXPECT_EQ(percentile({7}, 0.99), 7);
  EXPECT_EQ(percentile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(percentile({3, 1, 2}, 0.99), 3);
}

TEST(Statistics, AGigabyteHasTenToTheNineBytes) {
  EXPECT_DOUBLE_EQ(gigabytes_per_second(1e9, 1e6), 1.0);
  EXPECT_DOUBLE_EQ(gigabytes_per_second(4096, 4.096), 1.0);
  EXPECT_EQ(gigabytes_per_second(4096, 0), 0);
}

TEST(Statistics, BusFactorOfAllReduce) {
  EXPECT_EQ(bus_factor(Collective::all_reduce, 1), 0);
  EXPECT_DOUBLE_EQ(bus_factor(Collective::all_reduce, 2), 1);
  EXPECT_DOUBLE_EQ(bus_factor(Collective::all_reduce, 4), 1.5);
  EXPECT_DOUBLE_EQ(bus_factor(Collective::broadcast, 4), 1);
  EXPECT_DOUBLE_EQ(bus_factor(Collective::all_gather, 4), 0.75);
}

TEST(Statistics, IterationsFillTheGoalWithinBounds) {
  EXPECT_EQ(iterations_for(50'000, 1'000), 50U);
  EXPECT_EQ(iterations_for(50'000, 999), 51U);
  EXPECT_EQ(iterations_for(50'000, 1e9), 5U);
  EXPECT_EQ(iterations_for(50'000, 0.001), 100'000U);
  EXPECT_EQ(iterations_for(50'000, 0), 100'000U);
}

}  // namespace
}  // namespace paceline::bench
