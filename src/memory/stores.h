// How results are stored.
#pragma once

#include <cstddef>
#include <cstdint>

namespace paceline::memory {

/// `streaming`: past the caches, which spares memory the reading of lines that are about to be
/// overwritten; for what is too long to be found in a cache anyway.
enum class Stores : std::uint8_t { ordinary, streaming };

/// From how many bytes on streaming is worth it, of all that a rank reads and writes in a call:
/// a third of the last cache. Measured with one of 32 MiB (docs/performance.md); nowhere (the
/// largest number) if there is none.
std::size_t streaming_pays_from();

}  // namespace paceline::memory
