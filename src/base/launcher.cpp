#include "base/launcher.h"

#include <cstdint>

#include "base/launcher_places.h"
#include "base/number.h"
#include "paceline/error.h"

namespace paceline {
namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw Error(ErrorCode::invalid_configuration, text);
}

// How one launcher says who we are.
struct Source {
  Launcher launcher;
  const char* mark;       // what must be set, so that rank and size are this launcher's; or null
  const char* more_mark;  // what must be set besides; or null
  const char* rank;
  const char* size;                            // null: only the launcher's channel says it
  const char* who_sets_both;                   // completes "set both, as ... does"
  void (*place)(const Environment&, Config&);  // where they meet; or null
};

// In order of precedence. Launchers start each other, and a process inherits the variables of all
// of them: srun starts torchrun's agents, Open MPI's daemons and Hydra's proxies, and these the
// ranks. So what is started by others stands before those others.
constexpr Source kSources[] = {
    {Launcher::paceline, nullptr, nullptr, "PACELINE_RANK", "PACELINE_SIZE", "a job script",
     nullptr},
    {Launcher::torchrun, "TORCHELASTIC_RUN_ID", nullptr, "RANK", "WORLD_SIZE", "torchrun",
     place_of_torchrun},
    {Launcher::open_mpi, nullptr, nullptr, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
     "Open MPI's mpirun", place_of_pmix},
    // Hydra sets no PMI_JOBID, Slurm's pmi2 always does.
    {Launcher::slurm, "SLURM_STEP_ID", "PMI_JOBID", "PMI_RANK", "PMI_SIZE", "srun --mpi=pmi2",
     place_of_pmi},
    {Launcher::intel_mpi, "I_MPI_HYDRA_UUID", nullptr, "PMI_RANK", "PMI_SIZE",
     "Intel MPI's mpiexec", place_of_pmi},
    {Launcher::mpich, nullptr, nullptr, "PMI_RANK", "PMI_SIZE", "MPICH's mpiexec", place_of_pmi},
    {Launcher::mpich, "PMI_PORT", nullptr, "PMI_ID", nullptr, "MPICH's mpiexec -pmi-port",
     place_of_pmi_port},
    // Without a step the script of a batch job runs, once, for all the tasks still to be started.
    {Launcher::slurm, "SLURM_STEP_ID", nullptr, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "srun",
     place_of_slurm},
    {Launcher::pmix, "PMIX_NAMESPACE", nullptr, "PMIX_RANK", nullptr, "a launcher that uses PMIx",
     place_of_pmix},
    // Without torchrun's mark a script has set them for PyTorch's use, most often from the
    // variables of the launcher that has started it.
    {Launcher::torchrun, nullptr, nullptr, "RANK", "WORLD_SIZE", "torchrun", place_of_torchrun},
};

int whole_number(const char* name, const std::string& text) {
  const auto number = number_from<int>(text);
  if (!number) refuse(std::string(name) + " is \"" + text + "\"; allowed: a whole number");
  return *number;
}

bool marked(const Environment& environment, const Source& source) {
  for (const char* mark : {source.mark, source.more_mark}) {
    if (mark != nullptr && value_of(environment, mark) == nullptr) return false;
  }
  return true;
}

void require_pair(const Source& source, bool has_rank, bool has_size) {
  if (has_rank == has_size) return;
  const std::string there = has_rank ? source.rank : source.size;
  const std::string missing = has_rank ? source.size : source.rank;
  refuse(there + " is set but " + missing + " is not; set both, as " + source.who_sets_both +
         " does, or unset " + there);
}

void take_rank_and_size(const Source& source, const std::string& rank, const std::string* size,
                        Config& config) {
  config.launcher = source.launcher;
  config.rank = whole_number(source.rank, rank);
  config.size = size == nullptr ? 0 : whole_number(source.size, *size);
  if (size == nullptr) {
    if (config.rank < 0) refuse(std::string(source.rank) + " is " + rank + "; allowed: 0 and more");
    return;
  }
  if (config.size < 1) {
    refuse(std::string(source.size) + " is " + *size + "; allowed: 1 and more");
  }
  if (config.rank < 0 || config.rank >= config.size) {
    refuse(std::string(source.rank) + " is " + rank + " and " + source.size + " is " + *size +
           "; allowed ranks: 0.." + std::to_string(config.size - 1));
  }
}

}  // namespace

const std::string* value_of(const Environment& environment, std::string_view name) {
  const auto found = environment.find(std::string(name));
  return found == environment.end() || found->second.empty() ? nullptr : &found->second;
}

void identify(const Environment& environment, Config& config) {
  for (const Source& source : kSources) {
    if (!marked(environment, source)) continue;
    const std::string* rank = value_of(environment, source.rank);
    const std::string* size = source.size == nullptr ? nullptr : value_of(environment, source.size);
    if (source.size != nullptr) require_pair(source, rank != nullptr, size != nullptr);
    if (rank == nullptr) continue;
    take_rank_and_size(source, *rank, size, config);
    if (source.place != nullptr) source.place(environment, config);
    return;
  }
}

}  // namespace paceline
