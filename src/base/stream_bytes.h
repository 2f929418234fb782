// A copy past the caches.
#pragma once

#include <cstddef>

namespace paceline {

/// As memcpy, with streaming stores, which spare memory the reading of lines that are about to be
/// overwritten and leave none in this core's caches; the ends, up to whole cache lines, with
/// ordinary ones. Whoever is told of it afterwards finds it.
void stream_bytes(std::byte* target, const std::byte* source, std::size_t bytes);

}  // namespace paceline
