// What a subcommand found out: a document that is printed as JSON for programs, or laid out as text
// for people. Both show the same, so nothing is known to one reader only.
#pragma once

#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string>

namespace paceline::tool {

/// Keeps the order in which its fields were set.
using Json = nlohmann::ordered_json;

/// {"usable": true}, or {"usable": false, "why_not": ...}. As text: "yes", or "no: ...".
Json ability(const std::string& why_not);

/// One line per fact, indented by depth; values of one object stand in a column. "why_not" becomes
/// "why not".
void print_text(const Json& document, std::ostream& out);

}  // namespace paceline::tool
