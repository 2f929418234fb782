#include "tool/program.h"

#include <algorithm>
#include <array>
#include <exception>
#include <ostream>
#include <string_view>

#include "base/suggest.h"
#include "paceline/communicator.h"
#include "tool/command.h"

namespace paceline::tool {
namespace {

constexpr std::array<AddCommand, 3> kCommands = {add_info, add_status, add_explain};

// The first word that is no option; the options before a subcommand take no values.
const std::string* subcommand_of(const std::vector<std::string>& arguments) {
  const auto found = std::find_if(arguments.begin(), arguments.end(),
                                  [](const std::string& word) { return !word.starts_with('-'); });
  return found == arguments.end() ? nullptr : &*found;
}

// Empty, or what to say of a subcommand that does not exist.
std::string unknown_command(const CLI::App& program, const std::vector<std::string>& arguments) {
  const std::string* const given = subcommand_of(arguments);
  if (given == nullptr) return {};
  std::vector<std::string> names;
  for (const CLI::App* command : program.get_subcommands({})) names.push_back(command->get_name());
  if (std::find(names.begin(), names.end(), *given) != names.end()) return {};
  const std::vector<std::string_view> known(names.begin(), names.end());
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return "there is no subcommand \"" + *given + "\"; did you mean \"" +
         std::string(nearest(*given, known)) + "\"? There are: " + all;
}

int parse_and_run(Session& session, std::vector<std::string> arguments) {
  // CLI11 takes them from the end.
  std::reverse(arguments.begin(), arguments.end());
  try {
    session.program.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return session.program.exit(error, session.out, session.err) == 0 ? kFine : kWrongUsage;
  }
  return session.exit_code;
}

}  // namespace

int run(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  CLI::App program{"What Paceline is and what of this machine it can use.", "paceline"};
  program.set_version_flag("--version", "paceline " + version(), "Print the version and exit");
  program.require_subcommand(1);
  Session session{program, out, err};
  for (const AddCommand add : kCommands) add(session);

  if (const std::string said = unknown_command(program, arguments); !said.empty()) {
    err << "paceline: " << said << '\n';
    return kWrongUsage;
  }
  try {
    return parse_and_run(session, arguments);
  } catch (const std::exception& error) {
    err << "paceline: " << error.what() << '\n';
    return kInterrupted;
  }
}

}  // namespace paceline::tool
