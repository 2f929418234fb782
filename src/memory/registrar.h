// Makes regions, and finds the one that covers a buffer: the registration cache.
//
// Which registrations are kept: those of memory that the library allocated and those that the
// caller asked for, for as long as the caller holds them. A buffer that none of them covers is
// registered for the operation only. Keeping such registrations beyond the operation would need
// to learn of every munmap in the process; a stale one sends RDMA writes to pages that the buffer
// no longer has. The remedy for the cost is in the caller's hands: register_memory or allocate.
//
// Threads: every method, and the destructor of a Region, takes the lock that the Registrar was
// given: it is the one that guards the transports (docs/design/threads.md). `find` and `cover` are
// called by the owner of progress, who holds it already.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/log.h"
#include "memory/region.h"
#include "paceline/memory.h"
#include "transport/transport.h"

namespace paceline::memory {

class Registrar : public std::enable_shared_from_this<Registrar> {
 public:
  /// `transports` and `lock` must outlive the last call of close().
  Registrar(std::vector<transport::Transport*> transports,
            std::shared_ptr<std::recursive_mutex> lock, Logger log = {});

  [[nodiscard]] std::shared_ptr<Region> allocate(std::size_t bytes, Device device);
  /// The same range registered twice is registered once with the transports.
  [[nodiscard]] std::shared_ptr<Region> register_memory(void* pointer, std::size_t bytes);

  /// The region that covers [pointer, pointer + bytes) and was allocated or registered; null if
  /// there is none. The caller holds the lock.
  [[nodiscard]] std::shared_ptr<Region> find(const void* pointer, std::size_t bytes) const;
  /// find(), or else a temporary registration. The caller holds the lock.
  [[nodiscard]] std::shared_ptr<Region> cover(const void* pointer, std::size_t bytes);

  /// Bytes of the regions of that origin. Takes the lock.
  [[nodiscard]] std::size_t bytes(Origin origin) const;

  /// Whether close() also cuts allocated memory off from the other processes.
  enum class Sever : std::uint8_t { no, yes };
  /// Deregisters everything; regions stay valid as plain memory. Idempotent.
  void close(Sever sever) noexcept;

 private:
  friend class Region;
  std::shared_ptr<Region> make(const MemoryKind& kind, Allocation allocation, std::size_t bytes,
                               Origin origin);
  void forget(Region& region) noexcept;

  std::vector<transport::Transport*> transports_;
  std::shared_ptr<std::recursive_mutex> lock_;
  Logger log_;
  /// By start address; ranges may overlap.
  std::multimap<const std::byte*, Region*> regions_;
  /// The longest range in regions_: how far back a covering one can start.
  std::size_t longest_ = 0;
  bool closed_ = false;
};

}  // namespace paceline::memory
