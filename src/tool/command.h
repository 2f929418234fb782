// The subcommands of `paceline`. Each has a file of its own, named after it, with one function that
// adds it to the command line; program.cpp lists them. docs/man/paceline.1 documents every option,
// and a test compares.
#pragma once

#include <CLI/CLI.hpp>
#include <iosfwd>

namespace paceline::tool {

/// One run of the program.
struct Session {
  CLI::App& program;
  std::ostream& out;
  std::ostream& err;
  int exit_code = 0;
};

/// Adds a subcommand to `session.program`. Its callback does the work: writes to `session.out`,
/// sets `session.exit_code`, and throws what std::exception is for. `session` outlives it.
using AddCommand = void (*)(Session& session);

void add_explain(Session& session);
void add_info(Session& session);
void add_status(Session& session);

}  // namespace paceline::tool
