// What the launcher's own channel (Config::channel) is good for: a Store to meet in, and the answer
// to how many ranks there are where the environment does not say it.
#pragma once

#include <memory>

#include "paceline/config.h"
#include "paceline/store.h"

namespace paceline::bootstrap {

/// A Store over the channel, in which rank 0 sets and everybody else gets each key, once. Throws
/// Error, with a text that says what was found and what to set instead.
std::shared_ptr<Store> make_launcher_store(const Config& config);

/// `config` with rank and size; asks the launcher if the size is 0, which may block until the
/// time-out.
Config with_rank_and_size(Config config);

}  // namespace paceline::bootstrap
