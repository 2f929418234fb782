// The short floating point types against their definition, written down again in
// support/short_floats.h.
#include "paceline/floats.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "support/short_floats.h"

namespace paceline {
namespace {

using testing_support::kShortFormat;
using testing_support::reference_code;
using testing_support::reference_value;

template <class F>
class ShortFloat : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kCodes = 1U << (8 * sizeof(F));
  static F of(std::uint32_t code) {
    F x;
    x.bits = static_cast<decltype(x.bits)>(code);
    return x;
  }
  static void expect_code(float value) {
    ASSERT_EQ(F(value).bits, reference_code<F>(static_cast<double>(value)).bits)
        << std::hexfloat << value;
  }
};
using Types = ::testing::Types<float16, bfloat16, float8_e4m3, float8_e5m2>;
TYPED_TEST_SUITE(ShortFloat, Types);

TYPED_TEST(ShortFloat, EveryCodeHasTheValueOfItsFormula) {
  for (std::uint32_t code = 0; code < this->kCodes; ++code) {
    const float value = static_cast<float>(this->of(code));
    const double expected = reference_value(this->of(code));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << code;
    } else {
      ASSERT_EQ(static_cast<double>(value), expected) << code;
      ASSERT_EQ(std::signbit(value), std::signbit(expected)) << code;
    }
  }
}

TYPED_TEST(ShortFloat, EveryCodeComesBack) {
  for (std::uint32_t code = 0; code < this->kCodes; ++code) {
    const float value = static_cast<float>(this->of(code));
    const std::uint32_t back = TypeParam(value).bits;
    ASSERT_EQ(back, std::isnan(value) ? kShortFormat<TypeParam>.nan : code);
  }
}

// Rounding turns at the middle between two neighbours: there, just below it and just above.
TYPED_TEST(ShortFloat, EveryMiddleRoundsToEven) {
  for (std::uint32_t code = 0; code < kShortFormat<TypeParam>.first_special; ++code) {
    const auto middle =
        static_cast<float>((testing_support::number_of(kShortFormat<TypeParam>, code) +
                            testing_support::number_of(kShortFormat<TypeParam>, code + 1)) /
                           2);
    for (const float sign : {1.0F, -1.0F}) {
      this->expect_code(sign * middle);
      this->expect_code(sign * std::nextafter(middle, 0.0F));
      this->expect_code(sign * std::nextafter(middle, std::numeric_limits<float>::infinity()));
    }
  }
}

TYPED_TEST(ShortFloat, AnyFloatGoesToTheNearest) {
  std::mt19937 random(1);
  for (int i = 0; i < 1'000'000; ++i) {
    const auto bits = static_cast<std::uint32_t>(random());
    this->expect_code(std::bit_cast<float>(bits));
    // Floats of the type's own range, which is most of them for few types.
    this->expect_code(std::ldexp(std::bit_cast<float>((bits & 0x807fffffU) | 0x3f800000U),
                                 static_cast<int>(bits >> 23 & 31) - 16));
  }
}

TYPED_TEST(ShortFloat, TheEdgesOfFloat) {
  using Limits = std::numeric_limits<float>;
  for (const float value : {0.0F, Limits::min(), Limits::denorm_min(), Limits::max(),
                            Limits::infinity(), Limits::quiet_NaN()}) {
    this->expect_code(value);
    this->expect_code(-value);
  }
}

TYPED_TEST(ShortFloat, ComparesAsNumbers) {
  EXPECT_EQ(TypeParam(1.0F), TypeParam(1.0F));
  EXPECT_EQ(TypeParam(0.0F), TypeParam(-0.0F));
  EXPECT_NE(TypeParam(1.0F), TypeParam(1.5F));
  EXPECT_NE(TypeParam(std::nanf("")), TypeParam(std::nanf("")));
}

TEST(ShortFloats, KnownCodes) {
  EXPECT_EQ(float16(1.0F).bits, 0x3c00);
  EXPECT_EQ(float16(65504.0F).bits, 0x7bff);
  EXPECT_EQ(float16(65519.0F).bits, 0x7bff);
  EXPECT_EQ(float16(65520.0F).bits, 0x7c00);
  EXPECT_EQ(bfloat16(-2.0F).bits, 0xc000);
  EXPECT_EQ(float8_e4m3(448.0F).bits, 0x7e);
  EXPECT_EQ(float8_e4m3(464.0F).bits, 0x7e);  // half way to where 480 would be: to even
  EXPECT_EQ(float8_e4m3(465.0F).bits, 0x7f);  // no infinity: NaN
  EXPECT_EQ(float8_e4m3(-1e9F).bits, 0x7f);   // the one NaN, whatever the sign
  EXPECT_EQ(float8_e5m2(57344.0F).bits, 0x7b);
  EXPECT_EQ(float8_e5m2(-61440.0F).bits, 0xfc);
}

// What the compiler can work out.
static_assert(float16(0.5F).bits == 0x3800 && static_cast<float>(float16(0.5F)) == 0.5F);
static_assert(static_cast<float>(float8_e4m3(0.013671875F)) == 0.013671875F);
static_assert(static_cast<float>(bfloat16(1e-40F)) > 0.0F);

}  // namespace
}  // namespace paceline
