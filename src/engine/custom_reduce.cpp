#include "engine/custom_reduce.h"

#include <algorithm>
#include <cstring>

namespace paceline::engine {

namespace {

/// Combined at a time: stays in the first-level cache with a source beside it.
constexpr std::size_t kPieceBytes = 16 * 1024;

}  // namespace

void CustomReduce::run(const ReduceFunction& function, DataType type,
                       std::span<const std::byte* const> sources,
                       std::span<std::byte* const> destinations, std::size_t count) {
  room_.resize(kPieceBytes / sizeof(std::max_align_t));
  auto* const result = reinterpret_cast<std::byte*>(room_.data());
  const std::size_t element = size_of(type);
  const std::size_t most = kPieceBytes / element;
  for (std::size_t at = 0; at < count; at += most) {
    const std::size_t n = std::min(most, count - at);
    std::memcpy(result, sources[0] + at * element, n * element);
    for (const std::byte* source : sources.subspan(1)) {
      function(result, source + at * element, n, type);
    }
    for (std::byte* destination : destinations) {
      std::memcpy(destination + at * element, result, n * element);
    }
  }
}

}  // namespace paceline::engine
