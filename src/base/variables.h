// The one table of everything that can be configured: which variable sets which field of Config,
// how its text is read, which values are allowed, and what it is for. The reader of the
// environment, Config::validate() and docs/configuration.md (which a test compares with this
// table) all follow it, so a knob is added in one place.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "paceline/config.h"

namespace paceline {

struct Variable {
  std::string_view name;     ///< "PACELINE_LANES"
  std::string_view field;    ///< the member of Config: "lanes"
  std::string_view allowed;  ///< completes "allowed: ..."
  std::string_view meaning;  ///< one or two sentences, for the documentation

  /// Reads the text of the variable into the field; false if it is no value of the field's type.
  bool (*read)(Config& config, std::string_view text);
  /// Whether the field has an allowed value by itself.
  bool (*valid)(const Config& config);
  /// The field as the variable would spell it; a secret is described, never shown.
  std::string (*show)(const Config& config);
};

/// In the order of the documentation.
std::span<const Variable> variables();

/// Not in the table because it is another way to fill Config::secret, not a field of its own.
inline constexpr std::string_view kSecretFile = "PACELINE_SECRET_FILE";

}  // namespace paceline
