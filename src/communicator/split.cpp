// New communicators out of one that works: parts of it, or a second one of the same ranks.
//
// Everybody learns everybody's colour and key by an all_gather, works out the same groups, and each
// group meets over the control links of the old communicator, under a name that is used once.
#include <algorithm>
#include <vector>

#include "communicator/core.h"

namespace paceline {

std::shared_ptr<CommunicatorCore> CommunicatorCore::split(int color, int key) {
  struct Choice {
    std::int32_t color;
    std::int32_t key;
  };
  static_assert(sizeof(Choice) == 8);
  const Choice mine{color, key};
  {
    const std::lock_guard guard(*lock_);
    refuse_in_group("split() or duplicate()");
  }
  std::vector<Choice> choices(static_cast<std::size_t>(config_.size));
  run({.collective = Collective::all_gather,
       .in = &mine,
       .out = choices.data(),
       .count = 2,
       .type = DataType::int32});
  int number = 0;
  {
    const std::lock_guard guard(*lock_);
    number = ++splits_;
  }
  if (color < 0) return nullptr;

  std::vector<int> group;
  for (int rank = 0; rank < config_.size; ++rank) {
    if (choices[static_cast<std::size_t>(rank)].color == color) group.push_back(rank);
  }
  std::stable_sort(group.begin(), group.end(), [&](int a, int b) {
    return choices[static_cast<std::size_t>(a)].key < choices[static_cast<std::size_t>(b)].key;
  });
  Config config = config_;
  config.rank =
      static_cast<int>(std::find(group.begin(), group.end(), config_.rank) - group.begin());
  config.size = static_cast<int>(group.size());
  config.secret = bootstrap_->secret();
  config.root.clear();
  return create(config, bootstrap_->board(),
                name_ + "/" + std::to_string(number) + "." + std::to_string(color),
                &roster_[0].tuning);
}

}  // namespace paceline
