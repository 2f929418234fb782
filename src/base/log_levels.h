// How levels are spelled: "info,bootstrap=debug" is info for everything but the bootstrap.
#pragma once

#include <string>
#include <string_view>

#include "paceline/config.h"

namespace paceline {

/// Reads the spelling into Config::log_level and log_components; false if it is none. A part that
/// is not named keeps the level of everything, which is Config's own where none is given.
bool read_log_levels(Config& config, std::string_view text);

std::string show_log_levels(const Config& config);

}  // namespace paceline
