#include "memory/stores.h"

#include <unistd.h>

#include <limits>

namespace paceline::memory {

std::size_t streaming_pays_from() {
  static const long last_cache = ::sysconf(_SC_LEVEL3_CACHE_SIZE);
  if (last_cache <= 0) return std::numeric_limits<std::size_t>::max();
  return static_cast<std::size_t>(last_cache) / 2;
}

}  // namespace paceline::memory
