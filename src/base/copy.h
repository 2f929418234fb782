// memcpy for data: around a trap in it.
//
// For a few KiB and more glibc copies by `rep movsb` where the processor says that it is fast. On
// AMD's Zen 3 it is 15 times slower where the target begins a little after the source, but for
// whole pages: the loads then seem to depend on the stores (measured with glibc 2.36: 128 KiB take
// 45 us instead of 3; glibc's bug 30994 has the same of Zen 4). Of malloc's buffers that is the
// usual case: large ones begin 16 bytes behind a page, and ours on one. Short copies are made by
// vector instructions, so there a long one is made of short ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace paceline {

inline constexpr std::size_t kPageBytes = 4096;
/// From as many bytes on, and up to as many behind the source (a vector of AVX), the trap is there.
inline constexpr std::size_t kTrapBytes = 4096;
inline constexpr std::size_t kTrapDistance = 32;
/// Of a short copy.
inline constexpr std::size_t kShortCopyBytes = 2048;

inline bool copies_slowly(const void* target, const void* source, std::size_t bytes) {
  if (bytes < kTrapBytes) return false;
  const auto behind =
      reinterpret_cast<std::uintptr_t>(target) - reinterpret_cast<std::uintptr_t>(source);
  return behind % kPageBytes != 0 && behind % kPageBytes < kTrapDistance;
}

/// As memcpy; the two may be null if there are no bytes.
inline void copy_bytes(void* target, const void* source, std::size_t bytes) {
  if (bytes == 0) return;
  if (!copies_slowly(target, source, bytes)) [[likely]] {
    std::memcpy(target, source, bytes);
    return;
  }
  auto* to = static_cast<std::byte*>(target);
  const auto* from = static_cast<const std::byte*>(source);
  for (; bytes > kShortCopyBytes; bytes -= kShortCopyBytes) {
    std::memcpy(to, from, kShortCopyBytes);
    to += kShortCopyBytes;
    from += kShortCopyBytes;
  }
  std::memcpy(to, from, bytes);
}

/// The same with fewer instructions for a few words, where a call would be most of the work.
inline void copy_short(std::byte* target, const std::byte* source, std::size_t bytes) {
  constexpr std::size_t kWord = sizeof(std::uint64_t);
  if (bytes < kWord || bytes > 8 * kWord) return copy_bytes(target, source, bytes);
  // From word to word, and the last one, which may overlap the one before.
  std::uint64_t word;
  for (std::size_t at = 0; at + kWord < bytes; at += kWord) {
    std::memcpy(&word, source + at, kWord);
    std::memcpy(target + at, &word, kWord);
  }
  std::memcpy(&word, source + bytes - kWord, kWord);
  std::memcpy(target + bytes - kWord, &word, kWord);
}

}  // namespace paceline
