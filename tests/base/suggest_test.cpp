#include "base/suggest.h"

#include <gtest/gtest.h>

#include <array>

namespace paceline {
namespace {

TEST(Suggest, DistanceCountsTheFourEdits) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("ring", "ring"), 0U);
  EXPECT_EQ(edit_distance("ring", "rings"), 1U);  // insert
  EXPECT_EQ(edit_distance("ring", "rin"), 1U);    // delete
  EXPECT_EQ(edit_distance("ring", "rung"), 1U);   // replace
  EXPECT_EQ(edit_distance("ring", "rign"), 1U);   // swap
  EXPECT_EQ(edit_distance("", "ring"), 4U);
  EXPECT_EQ(edit_distance("ring", ""), 4U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

TEST(Suggest, DistanceIsSymmetric) {
  constexpr std::array<std::string_view, 6> words = {"", "a", "ab", "ba", "abc", "cabd"};
  for (std::string_view a : words) {
    for (std::string_view b : words) EXPECT_EQ(edit_distance(a, b), edit_distance(b, a));
  }
}

TEST(Suggest, TheNearestWinsAndTheFirstOfEquals) {
  constexpr std::array<std::string_view, 3> known = {"lanes", "links", "lines"};
  EXPECT_EQ(nearest("lane", known), "lanes");
  EXPECT_EQ(nearest("link", known), "links");
  EXPECT_EQ(nearest("l?nes", known), "lanes");
  EXPECT_EQ(nearest("anything", std::span<const std::string_view>{}), "");
}

}  // namespace
}  // namespace paceline
