// Sizes of the hardware that code is laid out for.
#pragma once

#include <cstddef>

namespace paceline {

/// Two cores that write into one line slow each other down; x86 fetches lines in pairs, so what
/// different ranks write is kept two lines apart.
inline constexpr std::size_t kCacheLine = 64;
inline constexpr std::size_t kLinePair = 128;

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace paceline
