#include "memory/stores.h"

#include <limits>

#include "base/caches.h"

namespace paceline::memory {

std::size_t streaming_pays_from() {
  const std::size_t last = caches().last;
  return last == 0 ? std::numeric_limits<std::size_t>::max() : last / 3;
}

}  // namespace paceline::memory
