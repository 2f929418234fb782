// Shared mappings of files that came from a peer or go to one.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "base/unique_fd.h"

namespace paceline::transport::shm {

/// The text of an errno value.
std::string errno_text(int error);

/// Pages of a file, mapped shared for loads and stores; unmaps itself.
class Mapping {
 public:
  Mapping() = default;
  Mapping(std::byte* data, std::size_t length) : data_(data), length_(length) {}
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), length_(std::exchange(other.length_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(length_, other.length_);
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { reset(); }

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t length() const { return length_; }
  void reset() noexcept;
  /// Puts private zeroes in the place of the file, at the same address: it is let go of, but a
  /// pointer into it still points somewhere.
  void sever() noexcept;

 private:
  std::byte* data_ = nullptr;
  std::size_t length_ = 0;
};

/// A new file of `length` bytes, all of them reserved, that can neither shrink nor grow any more:
/// a peer who maps it can rely on every page of it. Throws Error (out_of_memory).
UniqueFd make_sealed_file(const char* name, std::size_t length);
/// True if the file has exactly `length` bytes and can neither shrink nor grow.
bool is_sealed_file(int fd, std::size_t length);

/// Whether pages are brought in at once (small, on the hot path) or when they are touched.
enum class Populate : bool { no, yes };

/// Maps the first `length` bytes of a regular file that has as many. Throws Error
/// (transport_failed or out_of_memory).
Mapping map_file(int fd, std::size_t length, Populate populate);

}  // namespace paceline::transport::shm
