#include "memory/memory_kind.h"

#include <array>

#include "paceline/error.h"

namespace paceline::memory {

namespace {

/// Every kind that this build knows; the host's is last, because it claims any pointer.
const std::array<const MemoryKind*, 1>& kinds() {
  static const std::array<const MemoryKind*, 1> all = {&host_memory()};
  return all;
}

}  // namespace

const MemoryKind& kind_of(const void* pointer) {
  for (const MemoryKind* kind : kinds()) {
    if (kind->holds(pointer)) return *kind;
  }
  return host_memory();
}

const MemoryKind& kind_of(Device device) {
  for (const MemoryKind* kind : kinds()) {
    if (kind->kind() == device.kind()) return *kind;
  }
  throw Error(ErrorCode::unsupported, "device kind " +
                                          std::to_string(static_cast<int>(device.kind())) +
                                          " is not in this build; it has: host (1)");
}

}  // namespace paceline::memory
