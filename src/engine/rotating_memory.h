// Memory that operations use one after the other, and not always the same of it.
//
// A line that one core has written and another has read lies in both of their caches, and the next
// store to it waits until the other one is gone: with the same few KiB written and read again and
// again, the stores take four times as long as the loads. Where a lap is longer than a core's
// second cache, the lines have left both caches for the last one by the time they are written
// again, and nobody has to be asked. docs/performance.md has the measurements.
//
// Threads: the owner of progress only.
#pragma once

#include <cstddef>
#include <memory>

#include "memory/registrar.h"

namespace paceline::engine {

/// A lap after which what was used first has left the second caches of this machine.
std::size_t lap_past_second_cache();

class RotatingMemory {
 public:
  explicit RotatingMemory(std::shared_ptr<memory::Registrar> registrar)
      : registrar_(std::move(registrar)) {}

  /// `bytes` of it, for one operation: behind those of the operation before, or at the beginning
  /// where a lap of at least `lap` bytes ends. What was in it is lost. All operations before have
  /// ended: it grows to the largest need, at another address.
  std::byte* take(std::size_t bytes, std::size_t lap);

  /// `bytes` of it, always the same while it does not grow.
  std::byte* first(std::size_t bytes);

  [[nodiscard]] const std::shared_ptr<memory::Region>& region() const { return region_; }
  [[nodiscard]] std::size_t size() const { return region_ == nullptr ? 0 : region_->size(); }

 private:
  void reserve(std::size_t bytes);

  std::shared_ptr<memory::Registrar> registrar_;
  std::shared_ptr<memory::Region> region_;
  std::size_t next_ = 0;
};

}  // namespace paceline::engine
