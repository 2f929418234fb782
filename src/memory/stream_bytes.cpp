// A copy past the caches. Compiled once per instruction set, like reduce_floats.cpp.
#include "memory/reduce_targets.h"
#include "memory/stores.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "memory/stream_bytes.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "base/copy.h"
#include "base/layout.h"

HWY_BEFORE_NAMESPACE();
namespace paceline::memory::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Whole cache lines; `to` begins one.
void StreamLines(std::uint8_t* HWY_RESTRICT to, const std::uint8_t* HWY_RESTRICT from,
                 std::size_t bytes) {
  const hn::CappedTag<std::uint8_t, kCacheLine> d;
  const std::size_t n = hn::Lanes(d);
  for (std::size_t i = 0; i < bytes; i += n) hn::Stream(hn::LoadU(d, from + i), d, to + i);
  hwy::FlushStream();
}

}  // namespace
}  // namespace paceline::memory::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace paceline::memory {

HWY_EXPORT(StreamLines);

void stream_bytes(std::byte* target, const std::byte* source, std::size_t bytes) {
  const std::size_t behind = reinterpret_cast<std::uintptr_t>(target) % kCacheLine;
  const std::size_t head = std::min(bytes, behind == 0 ? 0 : kCacheLine - behind);
  const std::size_t lines = (bytes - head) / kCacheLine * kCacheLine;
  copy_bytes(target, source, head);
  HWY_DYNAMIC_DISPATCH(StreamLines)
  (reinterpret_cast<std::uint8_t*>(target + head),
   reinterpret_cast<const std::uint8_t*>(source + head), lines);
  copy_bytes(target + head + lines, source + head + lines, bytes - head - lines);
}

}  // namespace paceline::memory
#endif  // HWY_ONCE
