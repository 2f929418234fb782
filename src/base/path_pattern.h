// Names of files of which every rank writes its own: "job.%r.log" is job.3.log on rank 3.
#pragma once

#include <string>
#include <string_view>

namespace paceline {

/// What the places in a pattern stand for.
struct PathParts {
  int rank = 0;                ///< %r
  std::string communicator{};  ///< %c; what a file name cannot have becomes '_'
};

/// Fills in %r, %c, %h (this host's name), %p (this process's number) and %% (a %).
std::string expand_path(std::string_view pattern, const PathParts& parts);
/// True if every % in it is one of these.
bool is_path_pattern(std::string_view pattern);

/// This host's name, for people.
std::string this_host();

}  // namespace paceline
