// What floating point of 16 and 8 bits is, written down once more and in another way than in the
// library: values by the formula of the format, and the code of a number by looking for its
// neighbours among all values. Slow, and in doubles, which hold every value and every half way
// between two.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "paceline/floats.h"

namespace paceline::testing_support {

/// Of a format: bits, bits of the fraction, bias, the first code that is no number (infinity or
/// NaN), whether that is infinity, and the NaN that arithmetic gives.
struct ShortFormat {
  int bits;
  int fraction;
  int bias;
  std::uint32_t first_special;
  bool infinity;
  std::uint32_t nan;
};

template <class F>
inline constexpr ShortFormat kShortFormat = {};
template <>
inline constexpr ShortFormat kShortFormat<float16> = {16, 10, 15, 0x7c00, true, 0x7e00};
template <>
inline constexpr ShortFormat kShortFormat<bfloat16> = {16, 7, 127, 0x7f80, true, 0x7fc0};
template <>
inline constexpr ShortFormat kShortFormat<float8_e4m3> = {8, 3, 7, 0x7f, false, 0x7f};
template <>
inline constexpr ShortFormat kShortFormat<float8_e5m2> = {8, 2, 15, 0x7c, true, 0x7e};

/// What the code would stand for if there were neither infinity nor NaN.
inline double number_of(const ShortFormat& f, std::uint32_t magnitude) {
  const int exponent = static_cast<int>(magnitude >> f.fraction);
  const double one = std::ldexp(1.0, f.fraction);
  const double fraction = static_cast<double>(magnitude & ((1U << f.fraction) - 1)) / one;
  return exponent == 0 ? std::ldexp(fraction, 1 - f.bias)
                       : std::ldexp(1.0 + fraction, exponent - f.bias);
}

template <class F>
double reference_value(F x) {
  static constexpr ShortFormat f = kShortFormat<F>;
  const std::uint32_t code = x.bits;
  const std::uint32_t magnitude = code & ((1U << (f.bits - 1)) - 1);
  const bool minus = code != magnitude;
  double value = number_of(f, magnitude);
  if (magnitude >= f.first_special) {
    value = f.infinity && magnitude == f.first_special ? std::numeric_limits<double>::infinity()
                                                       : std::numeric_limits<double>::quiet_NaN();
  }
  return minus ? -value : value;
}

/// The nearest, ties to the code that is even; too large: infinity, or NaN where there is none.
template <class F>
F reference_code(double value) {
  static constexpr ShortFormat f = kShortFormat<F>;
  static const std::vector<double> numbers = [] {
    std::vector<double> all;
    for (std::uint32_t code = 0; code <= f.first_special; ++code) all.push_back(number_of(f, code));
    return all;
  }();
  F result;
  const auto set = [&result](std::uint32_t code) {
    result.bits = static_cast<decltype(result.bits)>(code);
    return result;
  };
  if (std::isnan(value)) return set(f.nan);
  const double magnitude = std::fabs(value);
  const auto above = std::upper_bound(numbers.begin(), numbers.end(), magnitude);
  std::uint32_t code = f.first_special;
  if (above != numbers.end()) {
    code = static_cast<std::uint32_t>(above - numbers.begin()) - 1;
    const double down = magnitude - numbers[code];
    const double up = *above - magnitude;
    if (up < down || (up == down && code % 2 == 1)) ++code;
  }
  if (code == f.first_special && !f.infinity) return set(f.nan);
  return set(std::signbit(value) ? code | 1U << (f.bits - 1) : code);
}

}  // namespace paceline::testing_support
