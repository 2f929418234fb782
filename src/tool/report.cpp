#include "tool/report.h"

#include <algorithm>
#include <cstddef>
#include <ostream>

namespace paceline::tool {
namespace {

std::string words_of(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  return key;
}

bool is_ability(const Json& value) {
  return value.is_object() && value.contains("usable");
}

bool is_list_of_objects(const Json& value) {
  return value.is_array() && !value.empty() && value.front().is_object();
}

// What fits behind its key: everything but an object, or a list of them, with facts of its own.
bool is_inline(const Json& value) {
  if (is_ability(value)) return value.size() == (value["usable"].get<bool>() ? 1 : 2);
  return !(value.is_object() && !value.empty()) && !is_list_of_objects(value);
}

std::string text_of(const Json& value) {
  if (is_ability(value)) {
    return value["usable"].get<bool>() ? "yes" : "no: " + value["why_not"].get<std::string>();
  }
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (!value.is_structured()) return value.dump();
  if (value.empty()) return "none";
  std::string text;
  for (const Json& one : value) text += (text.empty() ? "" : " ") + text_of(one);
  return text;
}

void print(const Json& object, std::size_t depth, std::ostream& out) {
  constexpr std::size_t kIndent = 2;
  const std::string margin(kIndent * depth, ' ');
  std::size_t width = 0;
  for (const auto& [key, value] : object.items()) {
    if (is_inline(value)) width = std::max(width, key.size());
  }
  for (const auto& [key, value] : object.items()) {
    const std::string words = words_of(key);
    if (is_inline(value)) {
      out << margin << words << std::string(width - key.size() + kIndent, ' ') << text_of(value)
          << '\n';
    } else if (is_list_of_objects(value)) {
      // Each starts with what names it.
      for (const Json& one : value) {
        out << margin << words << '\n';
        print(one, depth + 1, out);
      }
    } else {
      out << margin << words << '\n';
      print(value, depth + 1, out);
    }
  }
}

}  // namespace

Json ability(const std::string& why_not) {
  if (why_not.empty()) return {{"usable", true}};
  return {{"usable", false}, {"why_not", why_not}};
}

void print_text(const Json& document, std::ostream& out) {
  print(document, 0, out);
}

}  // namespace paceline::tool
