#include "transport_tcp/registration_table.h"

#include <random>

namespace paceline::transport::tcp {

// Counting starts anywhere, so that a key of one transport means nothing to another: a mix-up of
// peers shows as a refused put instead of as wrong data.
RegistrationTable::RegistrationTable() : first_use_(std::random_device{}()) {}

std::uint64_t RegistrationTable::add(std::byte* data, std::size_t length) {
  std::uint32_t index = 0;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(slots_.size());
    free_.reserve(slots_.size() + 1);  // so that remove() cannot fail
    slots_.push_back({.use = first_use_});
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Slot& slot = slots_[index];
  slot.data = data;
  slot.length = length;
  slot.taken = true;
  return std::uint64_t{slot.use} << 32 | (std::uint64_t{index} + 1);  // + 1: never kNoKey
}

void RegistrationTable::remove(std::uint64_t key) noexcept {
  if (slot_of(key) == nullptr) return;
  const auto index = static_cast<std::uint32_t>(key) - 1;
  Slot& slot = slots_[index];
  slot.taken = false;
  ++slot.use;
  free_.push_back(index);
}

std::byte* RegistrationTable::find(std::uint64_t key, std::uint64_t address,
                                   std::size_t length) const {
  const Slot* slot = slot_of(key);
  if (slot == nullptr) return nullptr;
  const auto base = reinterpret_cast<std::uintptr_t>(slot->data);
  if (address < base) return nullptr;
  const std::uint64_t offset = address - base;
  if (offset > slot->length || length > slot->length - offset) return nullptr;
  return slot->data + offset;
}

const RegistrationTable::Slot* RegistrationTable::slot_of(std::uint64_t key) const {
  const std::uint64_t number = key & 0xFFFF'FFFF;
  if (number == 0 || number > slots_.size()) return nullptr;
  const Slot& slot = slots_[number - 1];
  return slot.taken && slot.use == key >> 32 ? &slot : nullptr;
}

}  // namespace paceline::transport::tcp
