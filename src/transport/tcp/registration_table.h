// The memory that peers may put into, by key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace paceline::transport::tcp {

/// A key is a slot's number and how often the slot has been used, so that looking it up is one
/// load and one comparison, and a key that was given back does not come again.
class RegistrationTable {
 public:
  RegistrationTable();

  [[nodiscard]] std::uint64_t add(std::byte* data, std::size_t length);
  void remove(std::uint64_t key) noexcept;

  /// Where `length` > 0 bytes at `address` are; null unless `key` is registered and covers them
  /// all. Safe for any arguments: they come from a peer.
  [[nodiscard]] std::byte* find(std::uint64_t key, std::uint64_t address, std::size_t length) const;

 private:
  struct Slot {
    std::byte* data = nullptr;
    std::size_t length = 0;
    std::uint32_t use = 0;  ///< upper half of the key
    bool taken = false;
  };
  [[nodiscard]] const Slot* slot_of(std::uint64_t key) const;

  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::uint32_t first_use_;
};

}  // namespace paceline::transport::tcp
