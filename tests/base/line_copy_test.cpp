#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/hand_over.h"
#include "base/layout.h"
#include "base/stream_bytes.h"

namespace paceline {
namespace {

// Both copies by whole lines: past the caches, and handed over.
class LineCopy : public testing::TestWithParam<decltype(&stream_bytes)> {};

INSTANTIATE_TEST_SUITE_P(All, LineCopy, testing::Values(&stream_bytes, &hand_over));

// From and to every place in a cache line, and lengths around whole lines.
TEST_P(LineCopy, CopiesTheBytesAndNoOthers) {
  constexpr auto kUntouched = std::byte{0xee};
  std::vector<std::byte> source(8 * kCacheLine);
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::byte>(i * 7 + 1);
  for (std::size_t to = 0; to < kCacheLine; to += 3) {
    for (std::size_t from = 0; from < kCacheLine; from += 5) {
      for (const std::size_t bytes : {0, 1, 15, 63, 64, 65, 127, 128, 129, 300}) {
        std::vector<std::byte> target(8 * kCacheLine, kUntouched);
        GetParam()(&target[to], &source[from], bytes);
        const auto begin = target.begin() + static_cast<std::ptrdiff_t>(to);
        const auto end = begin + static_cast<std::ptrdiff_t>(bytes);
        EXPECT_TRUE(std::equal(begin, end, source.begin() + static_cast<std::ptrdiff_t>(from)));
        EXPECT_EQ(std::count(target.begin(), begin, kUntouched), begin - target.begin());
        EXPECT_EQ(std::count(end, target.end(), kUntouched), target.end() - end);
      }
    }
  }
}

}  // namespace
}  // namespace paceline
