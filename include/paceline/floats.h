// Floating point numbers of 16 and 8 bits, as they lie in memory: C++20 has no types of its own for
// them. They hold bits and convert from and to float; arithmetic is done in float. Like float they
// are trivial: one that is not given a value has none.
//
// From float they round to the nearest value, ties to the even one, subnormal numbers included. To
// float they are exact. Every NaN becomes the same one, exponent and top bit of the fraction set,
// sign clear: 0x7e00, 0x7fc0, 0x7f, 0x7e. What is too large becomes infinity; float8_e4m3 has none,
// there it becomes NaN, as in PyTorch: an overflow is to be seen, not to pass for 448.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

namespace paceline {

namespace detail {

/// Sign, exponent and fraction as IEEE 754 lays them out: the largest exponent stands for infinity
/// and NaN. Where kInfinity is false it is one like any other, but for the last code, NaN.
template <int kBits, int kFraction, bool kInfinity>
struct FloatFormat {
  static constexpr int fraction = kFraction;
  static constexpr int bias = (1 << (kBits - kFraction - 2)) - 1;
  static constexpr std::uint32_t sign = 1U << (kBits - 1);
  /// What overflow becomes: infinity, or the only NaN.
  static constexpr std::uint32_t overflow = kInfinity ? sign - (1U << kFraction) : sign - 1;
  static constexpr std::uint32_t nan = kInfinity ? overflow | 1U << (kFraction - 1) : overflow;
  /// The exponent field that a float has where this format's normal numbers begin.
  static constexpr std::uint32_t first_exponent = 128 - bias;

  static constexpr std::uint32_t from_float(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t magnitude = bits & 0x7fffffffU;
    if (magnitude > 0x7f800000U) return nan;
    const std::uint32_t field = magnitude >> 23;
    const std::uint32_t implied = field == 0 ? 0 : 1U << 23;
    // In units of 2^-23 of the exponent: what a float has beyond our fraction falls off, and below
    // our first exponent one more bit for each step down.
    const std::uint32_t significand = (magnitude & 0x7fffffU) | implied;
    const std::uint32_t exponent = field == 0 ? 1 : field;
    const bool below = exponent < first_exponent;
    const std::uint32_t fall = 23 - kFraction + (below ? first_exponent - exponent : 0);
    if (fall > 24) return bits >> 31 != 0 ? sign : 0;  // less than half of the smallest number
    const std::uint32_t kept = significand >> fall;
    const std::uint32_t rest = significand & ((1U << fall) - 1);
    const std::uint32_t half = 1U << (fall - 1);
    const std::uint32_t up = rest > half || (rest == half && (kept & 1U) != 0) ? 1 : 0;
    // A fraction that rounds up to the next power of two carries into the exponent by itself.
    std::uint32_t code = kept + up + ((below ? 0 : exponent - first_exponent) << kFraction);
    if (code >= overflow) code = overflow;
    if (code == nan) return nan;
    return bits >> 31 != 0 ? code | sign : code;
  }

  static constexpr float to_float(std::uint32_t code) {
    const std::uint32_t minus = (code & sign) != 0 ? 0x80000000U : 0;
    const std::uint32_t magnitude = code & (sign - 1);
    std::uint32_t bits = 0;
    if (kInfinity ? magnitude >= overflow : magnitude == overflow) {
      bits = 0x7f800000U | (magnitude << (23 - kFraction) & 0x7fffffU);
    } else if (magnitude >> kFraction != 0 || bias == 127) {
      // With the exponents of float, the codes are the upper bits of a float.
      bits = (magnitude << (23 - kFraction)) + (static_cast<std::uint32_t>(127 - bias) << 23);
    } else {
      const float unit = std::bit_cast<float>((first_exponent - kFraction) << 23);
      bits = std::bit_cast<std::uint32_t>(static_cast<float>(magnitude) * unit);
    }
    return std::bit_cast<float>(bits | minus);
  }
};

}  // namespace detail

/// IEEE 754 binary16: 5 bits of exponent, 10 of fraction; largest 65504.
struct float16 {
  using Format = detail::FloatFormat<16, 10, true>;
  std::uint16_t bits;

  constexpr float16() = default;
  explicit constexpr float16(float value)
      : bits(static_cast<std::uint16_t>(Format::from_float(value))) {}
  explicit constexpr operator float() const { return Format::to_float(bits); }
  constexpr bool operator==(float16 other) const {
    return static_cast<float>(*this) == static_cast<float>(other);
  }
};

/// The upper half of a float: 8 bits of exponent, 7 of fraction.
struct bfloat16 {
  using Format = detail::FloatFormat<16, 7, true>;
  std::uint16_t bits;

  constexpr bfloat16() = default;
  explicit constexpr bfloat16(float value)
      : bits(static_cast<std::uint16_t>(Format::from_float(value))) {}
  explicit constexpr operator float() const { return Format::to_float(bits); }
  constexpr bool operator==(bfloat16 other) const {
    return static_cast<float>(*this) == static_cast<float>(other);
  }
};

/// OCP E4M3, "e4m3fn": no infinity, NaN is 0x7f and 0xff; largest 448.
struct float8_e4m3 {
  using Format = detail::FloatFormat<8, 3, false>;
  std::uint8_t bits;

  constexpr float8_e4m3() = default;
  explicit constexpr float8_e4m3(float value)
      : bits(static_cast<std::uint8_t>(Format::from_float(value))) {}
  explicit constexpr operator float() const { return Format::to_float(bits); }
  constexpr bool operator==(float8_e4m3 other) const {
    return static_cast<float>(*this) == static_cast<float>(other);
  }
};

/// OCP E5M2: the upper half of a float16; largest 57344.
struct float8_e5m2 {
  using Format = detail::FloatFormat<8, 2, true>;
  std::uint8_t bits;

  constexpr float8_e5m2() = default;
  explicit constexpr float8_e5m2(float value)
      : bits(static_cast<std::uint8_t>(Format::from_float(value))) {}
  explicit constexpr operator float() const { return Format::to_float(bits); }
  constexpr bool operator==(float8_e5m2 other) const {
    return static_cast<float>(*this) == static_cast<float>(other);
  }
};

static_assert(std::is_trivial_v<float16> && std::is_trivial_v<bfloat16> &&
              std::is_trivial_v<float8_e4m3> && std::is_trivial_v<float8_e5m2>);
static_assert(sizeof(float16) == 2 && sizeof(bfloat16) == 2);
static_assert(sizeof(float8_e4m3) == 1 && sizeof(float8_e5m2) == 1);

}  // namespace paceline
