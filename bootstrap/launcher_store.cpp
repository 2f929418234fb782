#include "bootstrap/launcher_store.h"

#include <string>
#include <variant>

#include "base/launcher_channel.h"
#include "bootstrap/pmi1_session.h"
#include "bootstrap/pmi1_store.h"
#include "bootstrap/pmix_store.h"
#include "paceline/error.h"

namespace paceline::bootstrap {

namespace {

std::string ranks_of(const Config& config) {
  return "rank " + std::to_string(config.rank) + " of " + std::to_string(config.size);
}

// Who we are is known, but not where the others are.
[[noreturn]] void no_place(const Config& config) {
  const std::string root = "set PACELINE_ROOT=host:port (Config::root), or give a Store";
  const auto refuse = [](const std::string& text) {
    throw Error(ErrorCode::invalid_configuration, text);
  };
  switch (config.launcher) {
    case Launcher::none:
    case Launcher::paceline:
    case Launcher::torchrun:
      refuse(std::to_string(config.size) + " ranks and no place to meet: " + root +
             ", or start the ranks with mpirun, srun or torchrun");
      break;
    case Launcher::open_mpi:
    case Launcher::pmix:
      refuse("Open MPI's mpirun says that this is " + ranks_of(config) +
             ", but not how to reach it: PMIX_NAMESPACE and PMIX_RANK are not set. Does a wrapper "
             "drop variables, or is this an Open MPI before 3? Pass them on, or " +
             root);
      break;
    case Launcher::mpich:
    case Launcher::intel_mpi:
      refuse("PMI_RANK and PMI_SIZE say that this is " + ranks_of(config) +
             ", but neither PMI_FD nor PMI_PORT says how to reach the launcher. Does a wrapper "
             "drop variables? Pass them on, or " +
             root);
      break;
    case Launcher::slurm:
      refuse(
          "srun says that this is " + ranks_of(config) +
          ", but not how to reach it: start the program with srun --mpi=pmix or --mpi=pmi2, or " +
          root);
      break;
  }
  throw Error(ErrorCode::internal, "a launcher without a name");
}

LauncherChannel channel_of(const Config& config) {
  if (config.channel.empty()) no_place(config);
  const std::optional<LauncherChannel> channel = launcher_channel_from(config.channel);
  if (!channel) {
    throw Error(ErrorCode::invalid_configuration,
                "Config::channel is \"" + config.channel +
                    "\"; allowed: pmix, pmix:/folder, pmi:fd=8, pmi:port=host:port,id=3");
  }
  return *channel;
}

}  // namespace

std::shared_ptr<Store> make_launcher_store(const Config& config) {
  const LauncherChannel channel = channel_of(config);
  if (const auto* pmix = std::get_if<PmixChannel>(&channel)) return make_pmix_store(*pmix, config);
  return std::make_shared<Pmi1Store>(Pmi1Session::of_process().begin(channel, config),
                                     config.timeout);
}

Config with_rank_and_size(Config config) {
  if (config.size != 0) return config;
  config.validate();  // a size of 0 without a channel is a mistake
  const LauncherChannel channel = channel_of(config);
  if (const auto* pmix = std::get_if<PmixChannel>(&channel)) {
    config.size = ask_pmix_size(*pmix, config);
  } else {
    const Pmi1Channel::Identity identity = Pmi1Session::of_process().identity(channel, config);
    config.rank = identity.rank;
    config.size = identity.size;
  }
  config.validate();
  return config;
}

}  // namespace paceline::bootstrap
