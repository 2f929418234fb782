#include "common/pattern.h"

#include <gtest/gtest.h>

namespace paceline::bench {
namespace {

constexpr ReduceOp kOps[] = {ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max};
constexpr int kSizes[] = {1, 2, 3, 4, 7, 16, 17, 64, 1000};

// What a library would compute: in the type itself, in the order of the ranks and in the reverse.
template <class T>
T reduced(ReduceOp op, int ranks, std::size_t i, bool reverse) {
  const auto value = [&](int k) {
    return static_cast<T>(input_value(op, reverse ? ranks - 1 - k : k, ranks, i));
  };
  T result = value(0);
  for (int k = 1; k < ranks; ++k) {
    const T next = value(k);
    switch (op) {
      case ReduceOp::sum:
        result += next;
        break;
      case ReduceOp::prod:
        result *= next;
        break;
      case ReduceOp::min:
        result = std::min(result, next);
        break;
      case ReduceOp::max:
        result = std::max(result, next);
        break;
    }
  }
  return result;
}

template <class T>
class PatternOf : public ::testing::Test {};
using Types = ::testing::Types<float, double, std::int32_t, std::int64_t>;
TYPED_TEST_SUITE(PatternOf, Types);

TYPED_TEST(PatternOf, ResultsAreExactInEveryOrder) {
  for (const ReduceOp op : kOps) {
    for (const int ranks : kSizes) {
      for (std::size_t i = 0; i < kPeriod; i += 37) {
        const auto expected = static_cast<TypeParam>(expected_value(op, ranks, i));
        ASSERT_EQ(static_cast<std::int64_t>(expected), expected_value(op, ranks, i));
        ASSERT_EQ(reduced<TypeParam>(op, ranks, i, false), expected) << to_string(op) << ranks;
        ASSERT_EQ(reduced<TypeParam>(op, ranks, i, true), expected) << to_string(op) << ranks;
      }
    }
  }
}

TYPED_TEST(PatternOf, WhatWasWrittenIsRightAtEveryLength) {
  for (const std::size_t count :
       {std::size_t{0}, std::size_t{1}, kPeriod - 1, kPeriod, kPeriod + 1, 3 * kPeriod + 5}) {
    const auto pattern = Pattern<TypeParam>::result(ReduceOp::sum, 4);
    std::vector<TypeParam> data(count + 1, TypeParam{77});
    pattern.write(data.data(), count);
    EXPECT_EQ(pattern.wrong(data.data(), count), 0U);
    EXPECT_EQ(data[count], TypeParam{77});
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_EQ(data[i], static_cast<TypeParam>(expected_value(ReduceOp::sum, 4, i % kPeriod)));
    }
  }
}

TYPED_TEST(PatternOf, EveryWrongElementIsCounted) {
  const std::size_t count = 2 * kPeriod + 100;
  const auto pattern = Pattern<TypeParam>::result(ReduceOp::max, 4);
  std::vector<TypeParam> data(count);
  pattern.write(data.data(), count);
  for (const std::size_t i : {std::size_t{0}, kPeriod - 1, kPeriod, count - 1}) data[i] += 1;
  EXPECT_EQ(pattern.wrong(data.data(), count), 4U);
}

// The input of one rank, or of all but one, does not pass for the result: a library that forgets
// somebody is found out.
TYPED_TEST(PatternOf, ForgettingARankShows) {
  for (const ReduceOp op : kOps) {
    for (const int ranks : {2, 3, 4, 7, 16}) {
      for (int forgotten = 0; forgotten < ranks; ++forgotten) {
        bool shows = false;
        for (std::size_t i = 0; i < kPeriod && !shows; ++i) {
          std::int64_t result = 0;
          bool first = true;
          for (int r = 0; r < ranks; ++r) {
            if (r == forgotten) continue;
            const std::int64_t next = input_value(op, r, ranks, i);
            if (first) result = next;
            if (!first && op == ReduceOp::sum) result += next;
            if (!first && op == ReduceOp::prod) result *= next;
            if (!first && op == ReduceOp::min) result = std::min(result, next);
            if (!first && op == ReduceOp::max) result = std::max(result, next);
            first = false;
          }
          shows = result != expected_value(op, ranks, i);
        }
        EXPECT_TRUE(shows) << to_string(op) << " rank " << forgotten << " of " << ranks;
      }
    }
  }
}

TEST(Pattern, MovedDataShows) {
  for (const ReduceOp op : kOps) {
    const auto pattern = Pattern<float>::result(op, 4);
    std::vector<float> data(1 << 20);
    pattern.write(data.data(), data.size());
    for (const std::size_t shift : {std::size_t{1}, std::size_t{16}, std::size_t{1024},
                                    std::size_t{32768}, std::size_t{1} << 18}) {
      EXPECT_GT(pattern.wrong(data.data() + shift, data.size() - shift), 0U)
          << to_string(op) << " by " << shift;
    }
  }
}

TEST(Pattern, NanIsWrong) {
  const auto pattern = Pattern<float>::result(ReduceOp::sum, 2);
  std::vector<float> data(10);
  pattern.write(data.data(), data.size());
  std::memset(data.data() + 3, 0xff, sizeof(float));
  EXPECT_EQ(pattern.wrong(data.data(), data.size()), 1U);
}

TEST(Pattern, EveryDataTypeHasItsCppType) {
  for (const DataType type :
       {DataType::float32, DataType::float64, DataType::int32, DataType::int64}) {
    EXPECT_EQ(with_type(type, [](auto zero) { return DataTypeOf<decltype(zero)>::value; }), type);
  }
}

}  // namespace
}  // namespace paceline::bench
