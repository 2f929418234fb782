// The steps of a schedule in sections, one after the other: which one a step is in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace paceline::collectives {

class Sections {
 public:
  struct At {
    std::size_t section;
    std::uint64_t step;  ///< its number in there
  };

  /// The next section; it may be empty.
  void add(std::uint64_t steps) { ends_.push_back(this->steps() + steps); }
  [[nodiscard]] std::uint64_t steps() const { return ends_.empty() ? 0 : ends_.back(); }
  [[nodiscard]] At find(std::uint64_t step) const {
    const auto end = std::upper_bound(ends_.begin(), ends_.end(), step);
    return {static_cast<std::size_t>(end - ends_.begin()),
            end == ends_.begin() ? step : step - *(end - 1)};
  }

 private:
  std::vector<std::uint64_t> ends_;
};

}  // namespace paceline::collectives
