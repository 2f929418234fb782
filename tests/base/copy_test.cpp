#include "base/copy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace paceline {
namespace {

// Of all distances between target and source within a page, and lengths around those at which
// another way is taken.
TEST(CopyBytes, CopiesTheBytesAndNoOthers) {
  constexpr std::size_t kLongest = 3 * kTrapBytes + 1;
  constexpr auto kUntouched = std::byte{0xee};
  std::vector<std::byte> source(kLongest + kPageBytes);
  for (std::size_t i = 0; i < source.size(); ++i) {
    source[i] = static_cast<std::byte>(i * 2654435761U >> 13);
  }
  for (std::size_t distance = 0; distance < kPageBytes; distance += distance < 80 ? 1 : 251) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, kShortCopyBytes, kTrapBytes - 1,
                                    kTrapBytes, kTrapBytes + 1, 2 * kTrapBytes, kLongest}) {
      std::vector<std::byte> target(kLongest + 2 * kPageBytes, kUntouched);
      // As far behind a page as the source is, and `distance` more.
      const auto from = reinterpret_cast<std::uintptr_t>(source.data()) % kPageBytes;
      const auto to = reinterpret_cast<std::uintptr_t>(target.data()) % kPageBytes;
      const std::size_t at = (2 * kPageBytes + from + distance - to) % kPageBytes;
      EXPECT_EQ(copies_slowly(&target[at], source.data(), bytes),
                bytes >= kTrapBytes && distance >= 1 && distance < kTrapDistance);
      copy_bytes(&target[at], source.data(), bytes);
      ASSERT_TRUE(std::equal(source.begin(), source.begin() + static_cast<std::ptrdiff_t>(bytes),
                             target.begin() + static_cast<std::ptrdiff_t>(at)))
          << bytes << " bytes, " << distance << " behind";
      EXPECT_EQ(
          std::count(target.begin(), target.begin() + static_cast<std::ptrdiff_t>(at), kUntouched),
          static_cast<std::ptrdiff_t>(at));
      EXPECT_EQ(target[at + bytes], kUntouched);
    }
  }
}

TEST(CopyBytes, OfNothingMayBeNull) {
  copy_bytes(nullptr, nullptr, 0);
  copy_short(nullptr, nullptr, 0);
}

TEST(CopyShort, CopiesTheBytesAndNoOthers) {
  constexpr std::size_t kLongest = 80;  // beyond what is copied by words
  constexpr auto kUntouched = std::byte{0xee};
  std::vector<std::byte> source(kLongest);
  for (std::size_t i = 0; i < kLongest; ++i) source[i] = static_cast<std::byte>(i + 1);
  for (std::size_t bytes = 0; bytes <= kLongest; ++bytes) {
    std::vector<std::byte> target(kLongest + 2, kUntouched);
    copy_short(target.data() + 1, source.data(), bytes);
    std::vector<std::byte> expected(kLongest + 2, kUntouched);
    std::copy_n(source.begin(), bytes, expected.begin() + 1);
    EXPECT_EQ(target, expected) << bytes << " bytes";
  }
}

}  // namespace
}  // namespace paceline
