// How large this machine's caches are.
#pragma once

#include <cstddef>
#include <string>

namespace paceline {

/// Bytes of the first processor's data caches.
struct Caches {
  std::size_t second = 0;  ///< a usual one's if nobody tells
  /// The last one, as far as one processor reaches it: of several that a machine has, one. 0: not
  /// known.
  std::size_t last = 0;
};

/// As the kernel tells in `folder`. What it does not tell is asked of the C library, which adds up
/// all last caches of some machines.
Caches read_caches(const std::string& folder);

/// This machine's, read once.
const Caches& caches();

}  // namespace paceline
