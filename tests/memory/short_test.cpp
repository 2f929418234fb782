// Floating point of 16 and 8 bits, exhaustively where that is possible, and memory::scale; on every
// instruction set this machine has.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "memory/reduce.h"
#include "memory/scale.h"
#include "paceline/error.h"
#include "reference.h"
#include "targets.h"

namespace paceline::memory {
namespace {

using testing_support::kShortFormat;
using testing_support::reference_code;
using testing_support::reference_value;

template <class F>
F code_of(std::size_t code) {
  F x;
  x.bits = static_cast<decltype(x.bits)>(code);
  return x;
}

template <class F>
std::vector<F> all_codes() {
  std::vector<F> all;
  for (std::size_t code = 0; code < std::size_t{1} << (8 * sizeof(F)); ++code) {
    all.push_back(code_of<F>(code));
  }
  return all;
}

template <class T>
std::vector<T> reduced(ReduceOp op, const std::vector<std::vector<T>>& in,
                       std::uint32_t divisor = 1) {
  std::vector<const std::byte*> sources;
  for (const auto& v : in) sources.push_back(reinterpret_cast<const std::byte*>(v.data()));
  std::vector<T> out(in[0].size());
  std::byte* destination = reinterpret_cast<std::byte*>(out.data());
  reduce(type_of<T>(), op, sources, {&destination, 1}, out.size(), divisor);
  return out;
}

template <class T>
std::vector<T> scaled(T factor, const std::vector<T>& in) {
  std::vector<T> out(in.size());
  scale(type_of<T>(), &factor, reinterpret_cast<const std::byte*>(in.data()),
        reinterpret_cast<std::byte*>(out.data()), in.size());
  return out;
}

// Combined in the order given, as float, and rounded once.
template <class F>
void expect_reduced(ReduceOp op, const std::vector<std::vector<F>>& in, std::uint32_t divisor = 1) {
  const std::vector<F> out = reduced(op, in, divisor);
  for (std::size_t i = 0; i < out.size(); ++i) {
    float value = opened(in[0][i]);
    for (std::size_t j = 1; j < in.size(); ++j) value = combine(op, value, opened(in[j][i]));
    const F expected = closed<F>(divisor == 1 ? value : averaged(value, divisor));
    ASSERT_EQ(out[i].bits, expected.bits)
        << to_string(type_of<F>()) << " " << to_string(op) << " of " << std::hex
        << int{in[0][i].bits} << " and " << int{in.back()[i].bits};
  }
}

using Short = OnEveryTarget;

TEST_P(Short, EveryCodeSurvivesTheWayThroughFloat) {
  for_short_floats([](auto zero) {
    using F = decltype(zero);
    const auto all = all_codes<F>();
    const auto through = scaled(F(1.0F), all);
    // Minus zero is what adds nothing at all: plus zero would turn -0 into +0.
    const auto added = reduced<F>(ReduceOp::sum, {all, std::vector<F>(all.size(), F(-0.0F))});
    for (std::size_t i = 0; i < all.size(); ++i) {
      const bool nan = std::isnan(reference_value(all[i]));
      const std::uint32_t expected = nan ? kShortFormat<F>.nan : all[i].bits;
      ASSERT_EQ(through[i].bits, expected) << to_string(type_of<F>()) << " " << i;
      ASSERT_EQ(added[i].bits, expected) << to_string(type_of<F>()) << " " << i;
    }
  });
}

TEST_P(Short, EveryPairOfEightBits) {
  const auto pairs = [](auto zero) {
    using F = decltype(zero);
    std::vector<F> a, b;
    for (std::size_t i = 0; i < 65'536; ++i) {
      a.push_back(code_of<F>(i & 0xff));
      b.push_back(code_of<F>(i >> 8));
    }
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max}) {
      expect_reduced<F>(op, {a, b});
    }
    expect_reduced<F>(ReduceOp::avg, {a, b}, 3);
  };
  pairs(float8_e4m3{});
  pairs(float8_e5m2{});
}

// Every number of 16 bits with one of the same size, of either sign: the sums in which rounding
// and cancelling happen.
TEST_P(Short, EveryCodeOfSixteenBitsWithItsNeighbours) {
  const auto neighbours = [](auto zero) {
    using F = decltype(zero);
    const auto all = all_codes<F>();
    std::mt19937 random(5);
    std::vector<F> other;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto offset = static_cast<std::size_t>(random() % 4096);
      other.push_back(code_of<F>((i ^ (random() % 2 ? 0x8000U : 0U)) + offset - 2048));
    }
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max}) {
      expect_reduced<F>(op, {all, other});
      expect_reduced<F>(op, {other, all, all});
    }
    expect_reduced<F>(ReduceOp::avg, {all}, 3);
    expect_reduced<F>(ReduceOp::avg, {all, other}, 1'000'000);
  };
  neighbours(float16{});
  neighbours(bfloat16{});
}

// Products have twice the bits: their rounding meets every case, subnormal results included.
TEST_P(Short, ProductsThatAreRounded) {
  for_short_floats([](auto zero) {
    using F = decltype(zero);
    std::mt19937 random(6);
    std::vector<std::vector<F>> in(3);
    for (int i = 0; i < 200'000; ++i) {
      for (auto& v : in) v.push_back(code_of<F>(random()));
    }
    expect_reduced<F>(ReduceOp::prod, {in[0], in[1]});
    expect_reduced<F>(ReduceOp::prod, in);
  });
}

// 256 swallows a 1 in bfloat16 and e4m3, and 2048 in float16, but not in float.
TEST_P(Short, OnlyTheEndIsRounded) {
  for_short_floats([](auto zero) {
    using F = decltype(zero);
    const float big = std::is_same_v<F, float16> ? 2048.0F : 256.0F;
    const std::vector<F> large(40, F(big)), one(40, F(1.0F)), minus(40, F(-big));
    EXPECT_EQ(reduced<F>(ReduceOp::sum, {large, one, minus}), one) << to_string(type_of<F>());
    // A sum beyond the largest number is no harm as long as the average is below it.
    const std::vector<F> largest(40, code_of<F>(kShortFormat<F>.first_special - 1));
    if constexpr (!std::is_same_v<F, bfloat16>) {
      EXPECT_EQ(reduced<F>(ReduceOp::avg, {largest, largest, largest}, 3), largest);
    }
  });
}

TEST_P(Short, WhatIsTooLargeIsSeen) {
  const auto twice = [](auto largest) {
    const std::vector<decltype(largest)> in(40, largest);
    return reduced<decltype(largest)>(ReduceOp::sum, {in, in})[7].bits;
  };
  EXPECT_EQ(twice(float16(-65504.0F)), 0xfc00);
  EXPECT_EQ(twice(bfloat16(3.3895314e38F)), 0x7f80);
  EXPECT_EQ(twice(float8_e4m3(-448.0F)), 0x7f);
  EXPECT_EQ(twice(float8_e5m2(57344.0F)), 0x7c);
}

// --- integers and booleans -----------------------------------------------------------------------

TEST_P(Short, IntegersWrapAndAveragesGoTowardsZero) {
  const auto of_two = [](auto a, auto b, ReduceOp op, std::uint32_t divisor) {
    using T = decltype(a);
    return reduced<T>(op, {std::vector<T>(77, a), std::vector<T>(77, b)}, divisor)[76];
  };
  using I8 = std::int8_t;
  using U8 = std::uint8_t;
  EXPECT_EQ(of_two(I8{127}, I8{1}, ReduceOp::sum, 1), -128);
  EXPECT_EQ(of_two(U8{200}, U8{100}, ReduceOp::sum, 1), 44);
  EXPECT_EQ(of_two(U8{20}, U8{13}, ReduceOp::prod, 1), 4);
  EXPECT_EQ(of_two(I8{-4}, I8{-3}, ReduceOp::avg, 2), -3);
  EXPECT_EQ(of_two(U8{200}, U8{100}, ReduceOp::avg, 2), 22);  // the sum has wrapped
  EXPECT_EQ(of_two(I8{100}, I8{27}, ReduceOp::avg, 1000), 0);
  EXPECT_EQ(of_two(INT32_MIN, 0, ReduceOp::avg, 2), -(1 << 30));
  EXPECT_EQ(of_two(UINT32_MAX, 0U, ReduceOp::avg, 3), UINT32_MAX / 3);
  EXPECT_EQ(of_two(UINT64_MAX, std::uint64_t{0}, ReduceOp::avg, 3), UINT64_MAX / 3);
  EXPECT_EQ(of_two(INT64_MIN, std::int64_t{1}, ReduceOp::avg, UINT32_MAX),
            (INT64_MIN + 1) / std::int64_t{UINT32_MAX});
  EXPECT_EQ(of_two(-1, 5, ReduceOp::avg, UINT32_MAX), 0);
}

TEST_P(Short, AnyByteButZeroIsTrue) {
  std::vector<std::uint8_t> a, b;
  for (std::size_t i = 0; i < 65'536; ++i) {
    a.push_back(static_cast<std::uint8_t>(i & 0xff));
    b.push_back(static_cast<std::uint8_t>(i >> 8));
  }
  const std::byte* sources[] = {reinterpret_cast<const std::byte*>(a.data()),
                                reinterpret_cast<const std::byte*>(b.data())};
  std::vector<std::uint8_t> out(a.size());
  std::byte* destination = reinterpret_cast<std::byte*>(out.data());
  for (const ReduceOp op : kOps) {
    if (!offers(op, DataType::boolean)) continue;
    reduce(DataType::boolean, op, sources, {&destination, 1}, out.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(out[i], combine_truth(op, a[i] != 0, b[i] != 0) ? 1 : 0) << to_string(op) << i;
    }
  }
}

// --- scale ---------------------------------------------------------------------------------------

template <class T>
void check_scale(T factor, std::size_t count, std::size_t shift, bool in_place) {
  std::mt19937_64 random(count + shift);
  std::vector<T> in(count + shift + 1), out(count + shift + 1);
  for (T& x : in) x = operand<T>(random);
  const std::vector<T> before = in;
  std::vector<T>& target = in_place ? in : out;
  const T behind = target[count + shift];
  unsigned char odd[sizeof(T) + 1];  // the factor may lie anywhere
  std::memcpy(odd + 1, &factor, sizeof factor);
  scale(type_of<T>(), odd + 1, reinterpret_cast<const std::byte*>(in.data() + shift),
        reinterpret_cast<std::byte*>(target.data() + shift), count);
  for (std::size_t i = shift; i < count + shift; ++i) {
    const T expected = closed<T>(static_cast<Opened<T>>(opened(before[i]) * opened(factor)));
    ASSERT_TRUE(same_bits(target[i], expected))
        << to_string(type_of<T>()) << " element " << i << " of " << count;
  }
  ASSERT_EQ(std::memcmp(&target[count + shift], &behind, sizeof(T)), 0);
}

TEST_P(Short, ScaleMultipliesEveryElement) {
  const auto check_type = [](auto zero) {
    using T = decltype(zero);
    for (const float factor : {0.3F, -2.0F, 1.0F / 1024, 0.0F}) {
      for (std::size_t count = 0; count < 140; count += count < 70 ? 1 : 23) {
        check_scale<T>(T(factor), count, count % 7, count % 2 == 0);
      }
    }
    check_scale<T>(T(std::numeric_limits<float>::infinity()), 50, 0, false);
    check_scale<T>(T(std::nanf("")), 50, 0, true);
  };
  check_type(float{});
  check_type(double{});
  for_short_floats(check_type);
}

TEST_P(Short, ScaleRoundsOnceAndToEven) {
  for_short_floats([](auto zero) {
    using F = decltype(zero);
    const auto all = all_codes<F>();
    for (const float factor : {0.3F, 0.0078125F, -1.5F, 3e4F}) {
      const auto out = scaled(F(factor), all);
      for (std::size_t i = 0; i < all.size(); ++i) {
        ASSERT_EQ(out[i].bits, closed<F>(opened(all[i]) * opened(F(factor))).bits)
            << to_string(type_of<F>()) << " " << i << " times " << factor;
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, Short,
                         ::testing::ValuesIn(hwy::SupportedAndGeneratedTargets()), target_name);

TEST(Scale, NothingButFloatingPoint) {
  std::byte byte{};
  EXPECT_THROW(scale(DataType::int8, &byte, &byte, &byte, 1), Error);
  EXPECT_THROW(scale(DataType::boolean, &byte, &byte, &byte, 1), Error);
  EXPECT_NO_THROW(scale(DataType::float32, &byte, nullptr, nullptr, 0));
}

// A copy is a copy: NaNs and booleans keep their bits.
TEST(Copy, OneSourceKeepsEveryBit) {
  for_all_types([](auto zero) {
    using T = decltype(zero);
    std::vector<std::uint8_t> in(256 * sizeof(T));
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::uint8_t>(i * 37 + i / 256);
    std::vector<std::uint8_t> a(in.size()), b(in.size());
    const auto* source = reinterpret_cast<const std::byte*>(in.data());
    std::byte* both[] = {reinterpret_cast<std::byte*>(a.data()),
                         reinterpret_cast<std::byte*>(b.data())};
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::max}) {
      reduce(type_of<T>(), op, {&source, 1}, both, 256);
      EXPECT_EQ(a, in) << to_string(type_of<T>());
      EXPECT_EQ(b, in) << to_string(type_of<T>());
    }
  });
}

}  // namespace
}  // namespace paceline::memory
