// One kind of memory (the host's; another device's): everything that depends on where bytes live.
// The layers above never ask which kind it is. To add a kind, implement this and make a KnownKind
// of it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/unique_fd.h"
#include "memory/stores.h"
#include "paceline/memory.h"
#include "paceline/types.h"

namespace paceline::memory {

/// Memory that a kind has allocated. `length` is rounded up to what the kind allocates in.
struct Allocation {
  std::byte* data = nullptr;
  std::size_t length = 0;
  /// A file that processes on this host may map, with this memory from offset 0; may be empty.
  UniqueFd shareable = {};
};

class MemoryKind {
 public:
  virtual ~MemoryKind() = default;
  [[nodiscard]] virtual Device::Kind kind() const = 0;
  /// True if `pointer` is memory of this kind.
  [[nodiscard]] virtual bool holds(const void* pointer) const = 0;

  /// Zeroed memory, aligned to a page. Throws Error (out_of_memory).
  [[nodiscard]] virtual Allocation allocate(std::size_t bytes) const = 0;
  virtual void free(Allocation& allocation) const noexcept = 0;
  /// Cuts the memory off from every other process that has mapped it: the same bytes at the same
  /// address, but what others store from now on is not seen here.
  virtual void sever(Allocation& allocation) const noexcept = 0;

  /// destinations[j][i] = sources[0][i] op sources[1][i] op ..., in that order; one source: a
  /// copy. avg divides the sum by `divisor`. A destination may be equal to a source. How the first
  /// `streamed` destinations are stored, and what is copied: a hint (stores.h).
  virtual void reduce(DataType type, ReduceOp op, std::span<const std::byte* const> sources,
                      std::span<std::byte* const> destinations, std::size_t count,
                      std::uint32_t divisor, std::size_t streamed) const = 0;
  virtual void copy(std::byte* destination, const std::byte* source, std::size_t bytes,
                    Stores stores = Stores::ordinary) const = 0;
};

namespace detail {
/// Kinds besides the host's; every call asks.
extern std::atomic<int> number_of_others;
const MemoryKind* foreign_kind_of(const void* pointer);
}  // namespace detail

/// The kind that holds `pointer`; the host's if no other claims it.
const MemoryKind& kind_of(const void* pointer);
/// Whether another kind than the host's holds it: only that one can touch its bytes.
inline bool is_foreign(const void* pointer) {
  return detail::number_of_others.load(std::memory_order_acquire) != 0 &&
         detail::foreign_kind_of(pointer) != nullptr;
}
/// The kind of a device; throws Error (unsupported) if this build has none.
const MemoryKind& kind_of(Device device);

/// The host's memory (host_memory.cpp).
const MemoryKind& host_memory();

/// Makes a kind known for as long as it lives, which is as long as memory of that kind is used.
class KnownKind {
 public:
  /// Throws Error (internal) if there are too many.
  explicit KnownKind(const MemoryKind& kind);
  ~KnownKind();
  KnownKind(const KnownKind&) = delete;
  KnownKind& operator=(const KnownKind&) = delete;

 private:
  const MemoryKind& kind_;
};

}  // namespace paceline::memory
