// The program `paceline` as a function.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace paceline::tool {

/// What the exit code says; docs/man/paceline.1 has them too.
inline constexpr int kFine = 0;
inline constexpr int kTrouble = 1;      ///< what was asked about is not in order
inline constexpr int kWrongUsage = 2;   ///< the command line cannot be read
inline constexpr int kInterrupted = 3;  ///< an error ended the program

/// Runs `paceline` with these arguments (the program's name is not among them).
int run(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace paceline::tool
