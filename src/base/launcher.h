// Who a launcher says that we are.
#pragma once

#include <map>
#include <string>

#include "paceline/config.h"

namespace paceline {

using Environment = std::map<std::string, std::string>;

/// The text of a variable; null if it is unset or empty, which count as the same.
const std::string* value_of(const Environment& environment, std::string_view name);

/// Fills launcher, rank and size, and where the ranks meet (root or channel), from the first
/// launcher of the table in launcher.cpp that is there; leaves them alone if none is. A size of 0
/// stands for one that only the channel knows. Throws Error (invalid_configuration) where a set of
/// variables is incomplete or contradicts itself.
void identify(const Environment& environment, Config& config);

}  // namespace paceline
