// Message sizes on the command line: "8", "64K", "128M", and the row of sizes a run goes through.
#pragma once

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

namespace paceline::bench {

/// Bytes; K, M and G (either case) stand for powers of 1024. Empty for anything else.
inline std::optional<std::uint64_t> size_from(std::string_view text) {
  std::uint64_t factor = 1;
  if (!text.empty()) {
    switch (text.back()) {
      case 'k':
      case 'K':
        factor = std::uint64_t{1} << 10;
        break;
      case 'm':
      case 'M':
        factor = std::uint64_t{1} << 20;
        break;
      case 'g':
      case 'G':
        factor = std::uint64_t{1} << 30;
        break;
    }
  }
  if (factor != 1) text.remove_suffix(1);
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  if (value > std::numeric_limits<std::uint64_t>::max() / factor) return std::nullopt;
  return value * factor;
}

/// begin, and then times `factor` (if that is above 1) or plus `step`, up to `end` included. A step
/// of 0 gives `begin` alone.
inline std::vector<std::uint64_t> sweep(std::uint64_t begin, std::uint64_t end, std::uint64_t step,
                                        std::uint64_t factor) {
  std::vector<std::uint64_t> sizes;
  std::uint64_t size = begin;
  while (size <= end) {
    sizes.push_back(size);
    const std::uint64_t room = std::numeric_limits<std::uint64_t>::max();
    const bool multiply = factor > 1 && size > 0;
    if (multiply ? size > room / factor : step == 0 || size > room - step) break;
    size = multiply ? size * factor : size + step;
  }
  return sizes;
}

}  // namespace paceline::bench
