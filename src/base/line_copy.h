// A copy whose whole cache lines are stored in a way of one's own: what past-the-caches and
// handed-over copies share.
#pragma once

#include <emmintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/copy.h"
#include "base/layout.h"

namespace paceline {

/// As memcpy: calls store(to, a, b, c, d), the four quarters, for each whole line of the target;
/// what is before the first and behind the last one is copied as usual.
template <class Store>
void copy_by_lines(std::byte* target, const std::byte* source, std::size_t bytes, Store store) {
  const std::size_t behind = reinterpret_cast<std::uintptr_t>(target) % kCacheLine;
  const std::size_t head = std::min(bytes, behind == 0 ? 0 : kCacheLine - behind);
  copy_bytes(target, source, head);
  std::size_t i = head;
  for (; i + kCacheLine <= bytes; i += kCacheLine) {
    const auto* const from = reinterpret_cast<const __m128i*>(source + i);
    const __m128i a = _mm_loadu_si128(from);
    const __m128i b = _mm_loadu_si128(from + 1);
    const __m128i c = _mm_loadu_si128(from + 2);
    const __m128i d = _mm_loadu_si128(from + 3);
    store(reinterpret_cast<__m128i*>(target + i), a, b, c, d);
  }
  copy_bytes(target + i, source + i, bytes - i);
}

}  // namespace paceline
