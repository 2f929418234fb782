#include "common/pattern.h"

#include <gtest/gtest.h>

#include <memory>
#include <type_traits>

namespace paceline::bench {
namespace {

constexpr ReduceOp kOps[] = {ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max,
                             ReduceOp::avg, ReduceOp::band, ReduceOp::bor, ReduceOp::bxor};
constexpr int kSizes[] = {1, 2, 3, 4, 7, 16, 17, 64, 1000};

// A type's own arithmetic; short floats have none: they are rounded after every step.
template <class T>
T combined_in_type(ReduceOp op, T a, T b) {
  const bool add = op == ReduceOp::sum || op == ReduceOp::avg;
  if constexpr (std::is_same_v<T, bool>) {
    return combined<T>(op, a, b) != 0;
  } else if constexpr (std::is_integral_v<T>) {
    if (op == ReduceOp::band) return static_cast<T>(a & b);
    if (op == ReduceOp::bor) return static_cast<T>(a | b);
    if (op == ReduceOp::bxor) return static_cast<T>(a ^ b);
    if (op == ReduceOp::min || op == ReduceOp::max) return (a < b) == (op == ReduceOp::min) ? a : b;
    return static_cast<T>(add ? a + b : a * b);
  } else {
    using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
    const auto x = static_cast<Wide>(a);
    const auto y = static_cast<Wide>(b);
    if (op == ReduceOp::min || op == ReduceOp::max) return (x < y) == (op == ReduceOp::min) ? a : b;
    return T(add ? x + y : x * y);
  }
}

// What a library would compute: in the type itself, in the order of the ranks and in the reverse.
template <class T>
T reduced(ReduceOp op, int ranks, std::size_t i, bool reverse) {
  const auto value = [&](int k) {
    return as<T>(input_value<T>(op, reverse ? ranks - 1 - k : k, ranks, i));
  };
  T result = value(0);
  for (int k = 1; k < ranks; ++k) result = combined_in_type(op, result, value(k));
  if (op != ReduceOp::avg) return result;
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(result / static_cast<std::int64_t>(ranks));
  } else {
    using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
    return T(static_cast<Wide>(result) / static_cast<Wide>(ranks));
  }
}

template <class T>
class PatternOf : public ::testing::Test {};
using Types = ::testing::Types<float, double, std::int8_t, std::uint8_t, std::int32_t,
                               std::uint32_t, std::int64_t, std::uint64_t, float16, bfloat16,
                               float8_e4m3, float8_e5m2, bool>;
TYPED_TEST_SUITE(PatternOf, Types);

TYPED_TEST(PatternOf, ResultsAreExactInEveryOrder) {
  for (const ReduceOp op : kOps) {
    if (!offers(op, DataTypeOf<TypeParam>::value)) continue;
    for (const int ranks : kSizes) {
      for (std::size_t i = 0; i < kPeriod; i += 37) {
        const auto expected = expected_value<TypeParam>(op, ranks, i);
        ASSERT_EQ(reduced<TypeParam>(op, ranks, i, false), expected) << to_string(op) << ranks;
        ASSERT_EQ(reduced<TypeParam>(op, ranks, i, true), expected) << to_string(op) << ranks;
      }
    }
  }
}

TYPED_TEST(PatternOf, WhatWasWrittenIsRightAtEveryLength) {
  constexpr std::size_t kLongest = 3 * kPeriod + 5;
  for (const std::size_t count :
       {std::size_t{0}, std::size_t{1}, kPeriod - 1, kPeriod, kPeriod + 1, kLongest}) {
    const auto pattern = Pattern<TypeParam>::result(ReduceOp::sum, 4);
    const auto data = std::make_unique<TypeParam[]>(kLongest + 1);
    std::memset(data.get(), 1, (kLongest + 1) * sizeof(TypeParam));
    const TypeParam untouched = data[count];
    pattern.write(data.get(), count);
    EXPECT_EQ(pattern.wrong(data.get(), count), 0U);
    EXPECT_EQ(data[count], untouched);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_EQ(data[i], expected_value<TypeParam>(ReduceOp::sum, 4, i % kPeriod));
    }
  }
}

TYPED_TEST(PatternOf, EveryWrongElementIsCounted) {
  const std::size_t count = 2 * kPeriod + 100;
  const auto pattern = Pattern<TypeParam>::result(ReduceOp::max, 4);
  const auto data = std::make_unique<TypeParam[]>(count);
  pattern.write(data.get(), count);
  for (const std::size_t i : {std::size_t{0}, kPeriod - 1, kPeriod, count - 1}) {
    data[i] = data[i] == as<TypeParam>(1) ? as<TypeParam>(0) : as<TypeParam>(1);
  }
  EXPECT_EQ(pattern.wrong(data.get(), count), 4U);
}

// The input of one rank, or of all but one, does not pass for the result: a library that forgets
// somebody is found out.
TYPED_TEST(PatternOf, ForgettingARankShows) {
  for (const ReduceOp op : kOps) {
    if (!offers(op, DataTypeOf<TypeParam>::value)) continue;
    for (const int ranks : {2, 3, 4, 7, 16}) {
      for (int forgotten = 0; forgotten < ranks; ++forgotten) {
        bool shows = false;
        for (std::size_t i = 0; i < kPeriod && !shows; ++i) {
          const auto next_of = [&](int r) { return input_value<TypeParam>(op, r, ranks, i); };
          const int first = forgotten == 0 ? 1 : 0;
          std::int64_t result = next_of(first);
          for (int r = first + 1; r < ranks; ++r) {
            if (r != forgotten) result = combined<TypeParam>(op, result, next_of(r));
          }
          const TypeParam got =
              op == ReduceOp::avg ? averaged<TypeParam>(result, ranks) : as<TypeParam>(result);
          shows = got != expected_value<TypeParam>(op, ranks, i);
        }
        EXPECT_TRUE(shows) << to_string(op) << " rank " << forgotten << " of " << ranks;
      }
    }
  }
}

TEST(Pattern, MovedDataShows) {
  for (const ReduceOp op : kOps) {
    if (!offers(op, DataType::float32)) continue;
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
  for (int i = 0; i < 256; ++i) {
    const auto type = static_cast<DataType>(i);
    if (!is_valid(type)) continue;
    EXPECT_EQ(with_type(type, [](auto zero) { return DataTypeOf<decltype(zero)>::value; }), type);
  }
}

}  // namespace
}  // namespace paceline::bench
