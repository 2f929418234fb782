// Values that show the order in which they are combined: sums that cancel, that overflow and come
// back, numbers below the normal range, both zeros, infinities, and NaNs that carry something.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "paceline/types.h"

namespace paceline::testing_support {

/// A well mixed 64-bit number (the finaliser of SplitMix64, Steele and others 2014).
inline std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// Bits of an element: those of any value whatever, but every other one of the same magnitude as
/// its neighbours', so that sums cancel instead of one value drowning the others.
inline std::vector<std::byte> hostile(DataType type, int rank, std::size_t count) {
  const std::size_t element = size_of(type);
  std::vector<std::byte> bytes(count * element);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t random = mixed(i * 1000 + static_cast<std::uint64_t>(rank) + 1);
    std::uint64_t bits = random;
    if (type == DataType::boolean) bits &= 1;
    if (is_float(type) && i % 2 == 0) {
      // Exponents in the middle, sign and fraction at random: 1.x times 2^0 or 2^-1.
      const std::uint64_t one = type == DataType::float64       ? 0x3ff0000000000000u
                                : type == DataType::float32     ? 0x3f800000u
                                : type == DataType::float16     ? 0x3c00u
                                : type == DataType::bfloat16    ? 0x3f80u
                                : type == DataType::float8_e4m3 ? 0x38u
                                                                : 0x3cu;
      const std::uint64_t fraction = type == DataType::float64       ? 0xfffffffffffffu
                                     : type == DataType::float32     ? 0x7fffffu
                                     : type == DataType::float16     ? 0x3ffu
                                     : type == DataType::bfloat16    ? 0x7fu
                                     : type == DataType::float8_e4m3 ? 0x7u
                                                                     : 0x3u;
      const std::uint64_t sign = std::uint64_t{1} << (element * 8 - 1);
      bits = one | (random & (fraction | sign));
    }
    std::memcpy(bytes.data() + i * element, &bits, element);
  }
  return bytes;
}

}  // namespace paceline::testing_support
