#include "memory/registrar.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

#include "paceline/error.h"

namespace paceline::memory {

namespace {

std::string address_text(const void* address) {
  char text[20];
  std::snprintf(text, sizeof text, "%p", address);
  return text;
}

const char* origin_text(Origin origin) {
  switch (origin) {
    case Origin::allocated:
      return "allocated by the library";
    case Origin::explicit_:
      return "the caller's, until it lets go of it";
    case Origin::temporary:
      return "the caller's, for one operation";
  }
  return "?";
}

}  // namespace

Registrar::Registrar(std::vector<transport::Transport*> transports,
                     std::shared_ptr<std::recursive_mutex> lock, Logger log)
    : transports_(std::move(transports)), lock_(std::move(lock)), log_(std::move(log)) {}

std::shared_ptr<Region> Registrar::make(const MemoryKind& kind, Allocation allocation,
                                        std::size_t bytes, Origin origin) {
  auto region =
      std::make_shared<Region>(kind, std::move(allocation), bytes, origin, weak_from_this());
  const transport::MemoryView view{region->data(), bytes, region->allocation_.shareable.get()};
  // No wire reaches another kind's memory: its operations work on copies.
  const bool reachable = kind.kind() == Device::Kind::host;
  for (transport::Transport* t : transports_) {
    if (!reachable) break;
    region->registrations_.push_back(closed_ ? nullptr : t->register_memory(view));
  }
  log_.debug(LogComponent::memory, [&] {
    return "registered " + std::to_string(bytes) + " bytes at " + address_text(region->data()) +
           " with " + std::to_string(transports_.size()) + " wires, " + origin_text(origin);
  });
  return region;
}

std::shared_ptr<Region> Registrar::allocate(std::size_t bytes, Device device) {
  const MemoryKind& kind = kind_of(device);
  Allocation allocation = kind.allocate(bytes);
  const std::lock_guard guard(*lock_);
  auto region = make(kind, std::move(allocation), bytes, Origin::allocated);
  regions_.emplace(region->data(), region.get());
  longest_ = std::max(longest_, bytes);
  return region;
}

std::shared_ptr<Region> Registrar::register_memory(void* pointer, std::size_t bytes) {
  const std::lock_guard guard(*lock_);
  auto* data = static_cast<std::byte*>(pointer);
  auto [first, last] = regions_.equal_range(data);
  for (; first != last; ++first) {
    if (first->second->size() != bytes) continue;
    // Null if another thread is in its destructor, waiting for our lock.
    if (auto known = first->second->weak_from_this().lock()) return known;
  }
  auto region = make(kind_of(pointer), Allocation{data, bytes, {}}, bytes, Origin::explicit_);
  regions_.emplace(data, region.get());
  longest_ = std::max(longest_, bytes);
  return region;
}

std::shared_ptr<Region> Registrar::find(const void* pointer, std::size_t bytes) const {
  const auto* data = static_cast<const std::byte*>(pointer);
  for (auto it = regions_.upper_bound(data); it != regions_.begin();) {
    --it;
    if (static_cast<std::size_t>(data - it->first) >= longest_ && data != it->first) break;
    if (!it->second->covers(data, bytes)) continue;
    if (auto region = it->second->weak_from_this().lock()) return region;
  }
  return nullptr;
}

std::shared_ptr<Region> Registrar::cover(const void* pointer, std::size_t bytes) {
  if (auto region = find(pointer, bytes)) return region;
  // The engine only ever writes through the operation's own pointers; the cast is for the
  // transports, which register read-only and writable memory alike.
  auto* data = const_cast<std::byte*>(static_cast<const std::byte*>(pointer));
  return make(kind_of(pointer), Allocation{data, bytes, {}}, bytes, Origin::temporary);
}

void Registrar::forget(Region& region) noexcept {
  region.registrations_.clear();
  auto [first, last] = regions_.equal_range(region.data());
  for (; first != last; ++first) {
    if (first->second != &region) continue;
    regions_.erase(first);
    return;
  }
}

std::size_t Registrar::bytes(Origin origin) const {
  const std::lock_guard guard(*lock_);
  std::size_t sum = 0;
  for (const auto& [start, region] : regions_) {
    if (region->origin() == origin) sum += region->size();
  }
  return sum;
}

void Registrar::close(Sever sever) noexcept {
  const std::lock_guard guard(*lock_);
  if (closed_) return;
  closed_ = true;
  for (auto& [start, region] : regions_) {
    region->registrations_.clear();
    if (sever == Sever::yes && region->origin() == Origin::allocated)
      region->kind_.sever(region->allocation_);
  }
}

Region::Region(const MemoryKind& kind, Allocation allocation, std::size_t size, Origin origin,
               std::weak_ptr<Registrar> registrar)
    : kind_(kind),
      allocation_(std::move(allocation)),
      size_(size),
      origin_(origin),
      mappable_(static_cast<bool>(allocation_.shareable)),
      registrar_(std::move(registrar)) {}

void Region::require_own_process() const {
  if (origin_ != Origin::allocated || !made_by_.foreign()) return;
  throw Error(ErrorCode::invalid_argument,
              made_by_.text("memory of " + std::to_string(size_) + " bytes"));
}

Region::~Region() {
  if (made_by_.foreign()) {
    // The lock may be held for ever, the registrations are the parent's, and at the address may be
    // something else by now: the memory was never mapped here.
    abandon(std::move(registrations_));
    return;
  }
  if (const auto registrar = registrar_.lock()) {
    const std::lock_guard guard(*registrar->lock_);
    registrar->forget(*this);
  }
  if (origin_ == Origin::allocated) kind_.free(allocation_);
}

}  // namespace paceline::memory

namespace paceline {

Memory::Memory(std::shared_ptr<memory::Region> region) : region_(std::move(region)) {}
Memory::~Memory() = default;

std::byte* Memory::data() const {
  if (!region_) return nullptr;
  region_->require_own_process();
  return region_->data();
}
std::size_t Memory::size() const noexcept {
  return region_ ? region_->size() : 0;
}
Device Memory::device() const noexcept {
  return region_ ? Device(region_->kind().kind()) : Device::host();
}
bool Memory::mappable() const noexcept {
  return region_ && region_->mappable();
}

}  // namespace paceline
