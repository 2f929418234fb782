// Life after an error: who is left, and a new communicator of them.
#include <algorithm>
#include <utility>

#include "communicator/core.h"

namespace paceline {

// The control links outlive the failure, and carry the agreement.
std::vector<int> CommunicatorCore::survivors() {
  {
    const std::lock_guard guard(*lock_);
    look_at_suspicion();
    if (!error_) {
      throw Error(ErrorCode::invalid_argument,
                  "survivors() and shrink() are for a communicator that has failed, and this one "
                  "has not: call abort() first to give it up",
                  {config_.rank});
    }
  }
  return bootstrap_->survivors(std::chrono::nanoseconds(config_.timeout));
}

std::shared_ptr<CommunicatorCore> CommunicatorCore::shrink() {
  const std::vector<int> ranks = survivors();
  ++generation_;
  Config config = config_;
  const auto me = std::lower_bound(ranks.begin(), ranks.end(), config_.rank);
  config.rank = static_cast<int>(me - ranks.begin());
  config.size = static_cast<int>(ranks.size());
  // All survivors know the old one's secret, so none has to travel.
  config.secret = bootstrap_->secret();
  config.root.clear();
  // A name is used once: "world", "world~1", "world~2"; a second try gets a new number as well.
  const std::size_t tilde = name_.rfind('~');
  const bool counted = tilde != std::string::npos &&
                       name_.find_first_not_of("0123456789", tilde + 1) == std::string::npos;
  const std::string stem = counted ? name_.substr(0, tilde) : name_;
  const int before = counted ? std::atoi(name_.c_str() + tilde + 1) : 0;
  const std::string name = stem + "~" + std::to_string(before + generation_);
  return create(config, bootstrap_->board(), name, &roster_[0].tuning);
}

}  // namespace paceline
