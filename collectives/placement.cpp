#include "collectives/placement.h"

#include <algorithm>
#include <map>

namespace paceline::collectives {

Placement::Placement(std::span<const int> host_of) {
  std::map<int, int> numbers;
  for (const int given : host_of) {
    const int host = numbers.try_emplace(given, hosts()).first->second;
    if (host == hosts()) ranks_.emplace_back();
    std::vector<int>& ranks = ranks_[index(host)];
    ranks.push_back(size());
    local_.push_back(static_cast<int>(ranks.size()) - 1);
    host_.push_back(host);
    most_ranks_ = std::max(most_ranks_, static_cast<int>(ranks.size()));
  }
}

}  // namespace paceline::collectives
