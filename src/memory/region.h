// A piece of memory and what each transport knows of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/fork.h"
#include "memory/memory_kind.h"
#include "transport/transport.h"

namespace paceline::memory {

class Registrar;

/// How a region came to be.
enum class Origin : std::uint8_t {
  allocated,  ///< by us: owned, mappable
  explicit_,  ///< the caller's, by register_memory
  temporary,  ///< the caller's, for one operation
};

/// One registration of one piece of memory with every transport of a communicator. Made by a
/// Registrar only.
class Region : public std::enable_shared_from_this<Region> {
 public:
  Region(const MemoryKind& kind, Allocation allocation, std::size_t size, Origin origin,
         std::weak_ptr<Registrar> registrar);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  [[nodiscard]] std::byte* data() const { return allocation_.data; }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// Throws Error (invalid_argument) where memory that the library allocated is not mapped: in a
  /// child of the process that did.
  void require_own_process() const;
  [[nodiscard]] const MemoryKind& kind() const { return kind_; }
  [[nodiscard]] Origin origin() const { return origin_; }
  [[nodiscard]] bool mappable() const { return mappable_; }
  [[nodiscard]] bool covers(const std::byte* pointer, std::size_t bytes) const {
    return pointer >= data() && bytes <= size_ &&
           static_cast<std::size_t>(pointer - data()) <= size_ - bytes;
  }

  /// With transport number `index` of the Registrar; null after the Registrar was closed.
  [[nodiscard]] const transport::Registration* registration(std::size_t index) const {
    return index < registrations_.size() ? registrations_[index].get() : nullptr;
  }

 private:
  friend class Registrar;
  const ProcessMark made_by_;
  const MemoryKind& kind_;
  Allocation allocation_;
  std::size_t size_;
  Origin origin_;
  bool mappable_;
  std::weak_ptr<Registrar> registrar_;
  std::vector<std::unique_ptr<transport::Registration>> registrations_;
};

}  // namespace paceline::memory
