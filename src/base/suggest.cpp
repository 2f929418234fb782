#include "base/suggest.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace paceline {

// Row i, column j holds the distance between the first i letters of `a` and the first j of `b`. A
// cell needs its left, upper and upper-left neighbours, and the cell two up and two left for a swap
// of neighbouring letters: three rows are kept.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> two_up(b.size() + 1);
  std::vector<std::size_t> up(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) up[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = up[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({row[j - 1] + 1, up[j] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], two_up[j - 2] + 1);
    }
    std::swap(two_up, up);
    std::swap(up, row);
  }
  return up[b.size()];
}

std::string_view nearest(std::string_view given, std::span<const std::string_view> known) {
  const auto found = std::min_element(
      known.begin(), known.end(), [given](std::string_view left, std::string_view right) {
        return edit_distance(given, left) < edit_distance(given, right);
      });
  return found == known.end() ? std::string_view{} : *found;
}

}  // namespace paceline
