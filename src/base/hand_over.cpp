#include "base/hand_over.h"

#include <cpuid.h>

#include "base/line_copy.h"

namespace paceline {

namespace {

/// Longer copies gain nothing by it.
constexpr std::size_t kLongest = 8192;

// Intel, Software Developer's Manual, CPUID: leaf 7, ECX bit 25.
bool processor_demotes() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c >> 25 & 1) != 0;
}

/// After everything that was stored into the line.
void demote(__m128i* line) {
  struct Line {
    __m128i quarters[4];
  };
  static_assert(sizeof(Line) == kCacheLine);
  asm volatile("cldemote %0" : : "m"(*reinterpret_cast<const Line*>(line)));
}

}  // namespace

void hand_over(std::byte* target, const std::byte* source, std::size_t bytes) {
  static const bool demotes = processor_demotes();
  if (!demotes || bytes < kCacheLine || bytes > kLongest) {
    return copy_bytes(target, source, bytes);
  }
  copy_by_lines(target, source, bytes, [](__m128i* to, __m128i a, __m128i b, __m128i c, __m128i d) {
    _mm_storeu_si128(to, a);
    _mm_storeu_si128(to + 1, b);
    _mm_storeu_si128(to + 2, c);
    _mm_storeu_si128(to + 3, d);
    demote(to);
  });
}

}  // namespace paceline
