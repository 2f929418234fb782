// Memory that peers can write into. See docs/design/memory.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "paceline/export.h"

namespace paceline {

namespace memory {
class Region;  // the library's own record of a piece of registered memory
}

/// Where memory lives. Only the host's today; the type leaves room for others.
class Device {
 public:
  enum class Kind : std::uint8_t { host = 1 };
  static constexpr Device host() { return Device(Kind::host); }
  constexpr explicit Device(Kind kind, int index = 0) : kind_(kind), index_(index) {}
  [[nodiscard]] constexpr Kind kind() const { return kind_; }
  [[nodiscard]] constexpr int index() const { return index_; }
  constexpr bool operator==(const Device&) const = default;

 private:
  Kind kind_;
  int index_;
};

/// Registered memory, owned (`Communicator::allocate`) or somebody else's
/// (`Communicator::register_memory`). Move-only; the destructor deregisters, and frees what it
/// owns. It must outlive every operation that uses it; it may outlive its Communicator.
/// One thread at a time.
class PACELINE_API Memory {
 public:
  Memory() = default;
  explicit Memory(std::shared_ptr<memory::Region> region);
  Memory(Memory&&) noexcept = default;
  Memory& operator=(Memory&&) noexcept = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  /// First byte, aligned to 64 bytes at least when the library allocated it; null when empty.
  /// Memory that the library allocated is not there in a child of fork(): throws Error
  /// (invalid_argument).
  [[nodiscard]] std::byte* data() const;
  /// Length in bytes, as asked for.
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] Device device() const noexcept;
  /// True if peers on this host can load and store it (memory from allocate).
  [[nodiscard]] bool mappable() const noexcept;

  /// The memory as elements; size() / sizeof(T) of them.
  template <class T>
  [[nodiscard]] std::span<T> as() const {
    return {reinterpret_cast<T*>(data()), size() / sizeof(T)};
  }

 private:
  std::shared_ptr<memory::Region> region_;
};

}  // namespace paceline
