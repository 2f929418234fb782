#include "memory/memory_kind.h"

#include <array>
#include <atomic>

#include "paceline/error.h"

namespace paceline::memory {

namespace {

/// All kinds but the host's, which holds whatever no other does. Read by every call, so without a
/// lock; there are as many places as anybody has kinds of devices.
std::array<std::atomic<const MemoryKind*>, 4> others;
}  // namespace

namespace detail {

std::atomic<int> number_of_others{0};

const MemoryKind* foreign_kind_of(const void* pointer) {
  if (number_of_others.load(std::memory_order_acquire) == 0) return nullptr;
  for (const auto& other : others) {
    const MemoryKind* const kind = other.load(std::memory_order_acquire);
    if (kind != nullptr && kind->holds(pointer)) return kind;
  }
  return nullptr;
}

}  // namespace detail

using detail::foreign_kind_of;
using detail::number_of_others;

KnownKind::KnownKind(const MemoryKind& kind) : kind_(kind) {
  for (auto& other : others) {
    const MemoryKind* nothing = nullptr;
    if (!other.compare_exchange_strong(nothing, &kind)) continue;
    number_of_others.fetch_add(1, std::memory_order_release);
    return;
  }
  throw Error(ErrorCode::internal, "there is room for " + std::to_string(others.size()) +
                                       " kinds of memory besides the host's");
}

KnownKind::~KnownKind() {
  for (auto& other : others) {
    const MemoryKind* mine = &kind_;
    if (!other.compare_exchange_strong(mine, nullptr)) continue;
    number_of_others.fetch_sub(1, std::memory_order_release);
    return;
  }
}

const MemoryKind& kind_of(const void* pointer) {
  const MemoryKind* const other = foreign_kind_of(pointer);
  return other == nullptr ? host_memory() : *other;
}

const MemoryKind& kind_of(Device device) {
  if (device.kind() == Device::Kind::host) return host_memory();
  for (const auto& other : others) {
    const MemoryKind* const kind = other.load(std::memory_order_acquire);
    if (kind != nullptr && kind->kind() == device.kind()) return *kind;
  }
  throw Error(ErrorCode::unsupported, "device kind " +
                                          std::to_string(static_cast<int>(device.kind())) +
                                          " is not in this build; it has: host (1)");
}

}  // namespace paceline::memory
