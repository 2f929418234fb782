// Reading and writing of fixed-width, network-order messages, with every bound checked.
// Nothing that travels between processes is ever a raw struct.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace paceline {

using Bytes = std::vector<std::byte>;
using ConstBytes = std::span<const std::byte>;

/// Appends integers in network order.
class WireWriter {
 public:
  WireWriter& u8(std::uint8_t v) { return integer(v, 1); }
  WireWriter& u16(std::uint16_t v) { return integer(v, 2); }
  WireWriter& u32(std::uint32_t v) { return integer(v, 4); }
  WireWriter& u64(std::uint64_t v) { return integer(v, 8); }
  /// As they are; the length is not written.
  WireWriter& raw(ConstBytes bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  /// u32 length, then the bytes.
  WireWriter& blob(ConstBytes bytes) {
    u32(static_cast<std::uint32_t>(bytes.size()));
    return raw(bytes);
  }
  WireWriter& text(const std::string& s) { return blob(std::as_bytes(std::span(s))); }

  [[nodiscard]] const Bytes& bytes() const { return out_; }
  [[nodiscard]] Bytes take() { return std::move(out_); }

 private:
  WireWriter& integer(std::uint64_t v, int width) {
    for (int i = width - 1; i >= 0; --i) out_.push_back(static_cast<std::byte>(v >> (8 * i)));
    return *this;
  }
  Bytes out_;
};

/// Takes integers off the front. After the first read past the end everything reads as zero or
/// empty and ok() is false: read all fields, then check ok() once.
class WireReader {
 public:
  explicit WireReader(ConstBytes bytes) : rest_(bytes) {}
  std::uint8_t u8() { return static_cast<std::uint8_t>(integer(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(integer(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(integer(4)); }
  std::uint64_t u64() { return integer(8); }
  ConstBytes raw(std::size_t length) {
    if (length > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    ConstBytes r = rest_.first(length);
    rest_ = rest_.subspan(length);
    return r;
  }
  /// A blob of at most `limit` bytes; a longer one makes ok() false.
  ConstBytes blob(std::size_t limit) {
    const std::size_t length = u32();
    if (length > limit) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    return raw(length);
  }
  std::string text(std::size_t limit) {
    ConstBytes b = blob(limit);
    return {reinterpret_cast<const char*>(b.data()), b.size()};
  }
  [[nodiscard]] bool ok() const { return ok_; }
  /// True if everything was read and nothing is left.
  [[nodiscard]] bool finished() const { return ok_ && rest_.empty(); }
  [[nodiscard]] ConstBytes rest() const { return rest_; }

 private:
  std::uint64_t integer(int width) {
    ConstBytes b = raw(static_cast<std::size_t>(width));
    std::uint64_t v = 0;
    for (std::byte x : b) v = v << 8 | std::to_integer<std::uint64_t>(x);
    return v;
  }
  ConstBytes rest_;
  bool ok_ = true;
};

}  // namespace paceline
