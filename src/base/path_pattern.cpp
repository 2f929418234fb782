#include "base/path_pattern.h"

#include <unistd.h>

#include <algorithm>

namespace paceline {

namespace {

/// HOST_NAME_MAX of Linux and its terminator.
constexpr std::size_t kMaxHostName = 65;

std::string as_file_name(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '/' || c == '\0' || c == '\n'; }, '_');
  return text;
}

}  // namespace

std::string this_host() {
  char name[kMaxHostName] = {};
  const bool known = ::gethostname(name, sizeof name - 1) == 0 && name[0] != '\0';
  return known ? name : "unknown";
}

std::string expand_path(std::string_view pattern, const PathParts& parts) {
  std::string path;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c != '%' || i + 1 == pattern.size()) {
      path += c;
      continue;
    }
    const char kind = pattern[++i];
    if (kind == 'r') {
      path += std::to_string(parts.rank);
    } else if (kind == 'c') {
      path += as_file_name(parts.communicator);
    } else if (kind == 'h') {
      path += as_file_name(this_host());
    } else if (kind == 'p') {
      path += std::to_string(::getpid());
    } else {
      path += kind;
    }
  }
  return path;
}

bool is_path_pattern(std::string_view pattern) {
  for (std::size_t at = pattern.find('%'); at != std::string_view::npos;
       at = pattern.find('%', at + 2)) {
    if (at + 1 == pattern.size()) return false;
    if (std::string_view("rchp%").find(pattern[at + 1]) == std::string_view::npos) return false;
  }
  return true;
}

}  // namespace paceline
