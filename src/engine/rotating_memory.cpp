#include "engine/rotating_memory.h"

#include <algorithm>

#include "base/caches.h"
#include "base/layout.h"
#include "paceline/types.h"

namespace paceline::engine {

namespace {

/// A page: what starts on one is copied to and from at full speed.
constexpr std::size_t kAlignment = 4096;
/// Of the first region, so that it seldom grows.
constexpr std::size_t kLeast = 64 * 1024;
/// Of second caches; measured: one is not enough, and four give no more.
constexpr std::size_t kCachesInALap = 2;

}  // namespace

std::size_t lap_past_second_cache() {
  return kCachesInALap * caches().second;
}

void RotatingMemory::reserve(std::size_t bytes) {
  if (region_ != nullptr && size() >= bytes) return;
  region_ = nullptr;  // first, so that both are never held at once
  region_ = registrar_->allocate(std::max(bytes, kLeast), Device::host());
  next_ = 0;
}

std::byte* RotatingMemory::first(std::size_t bytes) {
  reserve(bytes);
  return region_->data();
}

std::byte* RotatingMemory::take(std::size_t bytes, std::size_t lap) {
  const std::size_t needed = round_up(bytes, kAlignment);
  reserve(std::max(needed, lap));
  if (size() - next_ < needed) next_ = 0;
  std::byte* const place = region_->data() + next_;
  next_ += needed;
  return place;
}

}  // namespace paceline::engine
