// paceline info: what this build is, and what of this machine it can use.
#include <ostream>
#include <string>

#include "base/variables.h"
#include "paceline/config.h"
#include "paceline/error.h"
#include "tool/build_facts.h"
#include "tool/command.h"
#include "tool/info_machine.h"
#include "tool/info_wires.h"
#include "tool/program.h"
#include "tool/read_trial.h"

namespace paceline::tool {
namespace {

// What a program started from here would be told: by whom it was started, and every setting that
// is not the default.
Json configuration_facts(const Config& config) {
  const Config defaults;
  Json set = Json::object();
  for (const Variable& variable : variables()) {
    const std::string shown = variable.show(config);
    if (shown != variable.show(defaults)) set[std::string(variable.name)] = shown;
  }
  return {{"launcher", to_string(config.launcher)}, {"not_the_default", set}};
}

void run(Session& session, bool as_json) {
  // Before anything is loaded that may have threads.
  const std::string cannot_read = read_trial();

  Config config;
  Json configuration;
  try {
    config = Config::from_environment();
    configuration = configuration_facts(config);
  } catch (const Error& error) {
    configuration = ability(error.what());
    session.exit_code = kTrouble;
  }
  const Json report = {{"build", build_facts()},
                       {"machine", machine_facts(config)},
                       {"transports", transport_facts(config)},
                       {"rdma_devices", rdma_device_facts(config)},
                       {"libraries", library_facts()},
                       {"reading_between_ranks", ability(cannot_read)},
                       {"limits", limit_facts()},
                       {"configuration", configuration}};
  if (as_json) {
    session.out << report.dump(2) << '\n';
  } else {
    print_text(report, session.out);
  }
}

}  // namespace

void add_info(Session& session) {
  CLI::App* const info =
      session.program.add_subcommand("info", "Say what this build is and what it can use here");
  CLI::Option* const json = info->add_flag("--json")->description("Print JSON");
  info->callback([&session, json] { run(session, json->count() > 0); });
}

}  // namespace paceline::tool
