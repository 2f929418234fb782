#include "common/fit.h"

#include <gtest/gtest.h>

#include <random>

namespace paceline::bench {
namespace {

TEST(Fit, FindsWhatTheSamplesWereMadeOf) {
  // Like a latency and a time per byte: parameters and features of all magnitudes.
  const std::vector<double> truth = {15'000, 0.5, 3};
  std::vector<Sample> samples;
  for (const double bytes : {8.0, 4096.0, 1e6}) {
    for (const double peers : {1.0, 3.0}) {
      const std::vector<double> features = {2, bytes, 1000 * peers};
      samples.push_back(
          {features, features[0] * truth[0] + features[1] * truth[1] + features[2] * truth[2]});
    }
  }
  const std::vector<double> found = fit(samples, truth.size());
  for (std::size_t i = 0; i < truth.size(); ++i) EXPECT_NEAR(found[i], truth[i], 1e-6 * truth[i]);
}

TEST(Fit, AveragesNoise) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> noise(0.9, 1.1);
  std::vector<Sample> samples;
  for (int i = 0; i < 2000; ++i) {
    const double bytes = 1 << (i % 20);
    samples.push_back({{1, bytes}, (1000 + 0.1 * bytes) * noise(random)});
  }
  const std::vector<double> found = fit(samples, 2);
  EXPECT_NEAR(found[0], 1000, 30);
  EXPECT_NEAR(found[1], 0.1, 0.003);
}

TEST(Fit, NothingIsNegative) {
  // The line through these crosses 0 below the first.
  const std::vector<double> found = fit({{{1, 1}, 1}, {{1, 2}, 3}, {{1, 3}, 5}}, 2);
  EXPECT_EQ(found[0], 0);
  EXPECT_GT(found[1], 1);
  EXPECT_LT(found[1], 2);
}

// Fitted freely, the first of these comes out negative, and the second one is only large beside it.
TEST(Fit, WhatLooksNegativeAtFirstMayNotBe) {
  const std::vector<Sample> samples = {
      {{1, 2, 2}, 1}, {{2, 3, 1}, 4}, {{1, 2, 1}, 4}, {{3, 3, 0}, 4}};
  const std::vector<double> found = fit(samples, 3);
  // Of relative errors with the first alone: slope 2.5 over square 1.875.
  EXPECT_NEAR(found[0], 2.5 / 1.875, 1e-9);
  EXPECT_EQ(found[1], 0);
  EXPECT_EQ(found[2], 0);
}

TEST(Fit, WhatWasNotMeasuredIsZero) {
  const std::vector<double> found = fit({{{2, 0}, 10}, {{4, 0}, 20}}, 2);
  EXPECT_NEAR(found[0], 5, 1e-9);
  EXPECT_EQ(found[1], 0);
  EXPECT_EQ(fit({}, 2), (std::vector<double>{0, 0}));
}

}  // namespace
}  // namespace paceline::bench
