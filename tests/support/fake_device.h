// A kind of memory whose bytes the CPU cannot touch: its pointers lead to pages without access, and
// only the driver, copy(), reaches what lies behind them, over a second mapping. A library that
// looks at such bytes by itself dies of SIGSEGV.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>

#include "memory/memory_kind.h"
#include "paceline/error.h"

namespace paceline::testing_support {

class FakeDevice final : public memory::MemoryKind {
 public:
  static constexpr auto kKind = static_cast<Device::Kind>(200);
  /// The only one; known as long as the program runs.
  static FakeDevice& get() {
    static FakeDevice& device = *new FakeDevice;
    static const memory::KnownKind& known = *new memory::KnownKind(device);
    (void)known;
    return device;
  }

  [[nodiscard]] Device::Kind kind() const override { return kKind; }
  [[nodiscard]] bool holds(const void* pointer) const override {
    return behind(pointer) != nullptr;
  }

  [[nodiscard]] memory::Allocation allocate(std::size_t bytes) const override {
    memory::Allocation a;
    const std::size_t page = 4096;
    a.length = (bytes / page + 1) * page;
    const int file = ::memfd_create("fake-device", MFD_CLOEXEC);
    if (file < 0 || ::ftruncate(file, static_cast<off_t>(a.length)) != 0) {
      throw Error(ErrorCode::out_of_memory, "the fake device has no memory");
    }
    void* const front = ::mmap(nullptr, a.length, PROT_NONE, MAP_SHARED, file, 0);
    void* const back = ::mmap(nullptr, a.length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    a.data = static_cast<std::byte*>(front);
    const std::lock_guard guard(lock_);
    ranges_[a.data] = {a.length, static_cast<std::byte*>(back)};
    return a;
  }
  void free(memory::Allocation& a) const noexcept override {
    const std::lock_guard guard(lock_);
    const auto it = ranges_.find(a.data);
    if (it == ranges_.end()) return;
    ::munmap(it->second.back, a.length);
    ::munmap(a.data, a.length);
    ranges_.erase(it);
  }
  void sever(memory::Allocation&) const noexcept override {}

  void reduce(DataType, ReduceOp, std::span<const std::byte* const>, std::span<std::byte* const>,
              std::size_t, std::uint32_t, std::size_t) const override {
    throw Error(ErrorCode::unsupported, "the fake device cannot compute");
  }
  void copy(std::byte* destination, const std::byte* source, std::size_t bytes,
            memory::Stores) const override {
    if (bytes == 0) return;
    std::byte* const to = behind(destination);
    const std::byte* const from = behind(source);
    std::memcpy(to == nullptr ? destination : to, from == nullptr ? source : from, bytes);
    copied_.fetch_add(bytes, std::memory_order_relaxed);
  }
  [[nodiscard]] std::size_t copied() const { return copied_.load(std::memory_order_relaxed); }

  /// Where a test finds the bytes of a pointer; null if it is none of ours.
  [[nodiscard]] std::byte* behind(const void* pointer) const {
    auto* const p = static_cast<std::byte*>(const_cast<void*>(pointer));
    const std::lock_guard guard(lock_);
    auto it = ranges_.upper_bound(p);
    if (it == ranges_.begin()) return nullptr;
    --it;
    const auto at = static_cast<std::size_t>(p - it->first);
    return at < it->second.length ? it->second.back + at : nullptr;
  }

 private:
  struct Range {
    std::size_t length;
    std::byte* back;
  };
  mutable std::mutex lock_;
  mutable std::map<std::byte*, Range> ranges_;
  mutable std::atomic<std::size_t> copied_{0};
};

}  // namespace paceline::testing_support
