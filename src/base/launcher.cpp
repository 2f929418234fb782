#include "base/launcher.h"

#include <cstdint>

#include "base/host_port.h"
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
  const char* rank;
  const char* size;
  const char* who_sets_both;  // completes "set both, as ... does"
};

// In order of precedence.
constexpr Source kSources[] = {
    {Launcher::paceline, "PACELINE_RANK", "PACELINE_SIZE", "a job script"},
    {Launcher::open_mpi, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "Open MPI's mpirun"},
    {Launcher::torchrun, "RANK", "WORLD_SIZE", "torchrun"},
};

int whole_number(const char* name, const std::string& text) {
  const auto number = number_from<int>(text);
  if (!number) refuse(std::string(name) + " is \"" + text + "\"; allowed: a whole number");
  return *number;
}

void require_pair(const Source& source, bool has_rank, bool has_size) {
  if (has_rank == has_size) return;
  const std::string there = has_rank ? source.rank : source.size;
  const std::string missing = has_rank ? source.size : source.rank;
  refuse(there + " is set but " + missing + " is not; set both, as " + source.who_sets_both +
         " does, or unset " + there);
}

void take_rank_and_size(const Source& source, const std::string& rank, const std::string& size,
                        Config& config) {
  config.launcher = source.launcher;
  config.rank = whole_number(source.rank, rank);
  config.size = whole_number(source.size, size);
  if (config.size < 1) {
    refuse(std::string(source.size) + " is " + size + "; allowed: 1 and more");
  }
  if (config.rank < 0 || config.rank >= config.size) {
    refuse(std::string(source.rank) + " is " + rank + " and " + source.size + " is " + size +
           "; allowed ranks: 0.." + std::to_string(config.size - 1));
  }
}

// torchrun's MASTER_PORT is rank 0's to listen on, unless torchrun's own agent already does and
// says so by TORCHELASTIC_USE_AGENT_STORE=True (every release since 1.9, where there is one node
// or a c10d rendezvous): then the next port is ours.
std::string torchrun_root(const Environment& environment) {
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
  return to_string(HostPort{*address, static_cast<std::uint16_t>(*port + (taken ? 1 : 0))});
}

}  // namespace

const std::string* value_of(const Environment& environment, std::string_view name) {
  const auto found = environment.find(std::string(name));
  return found == environment.end() || found->second.empty() ? nullptr : &found->second;
}

void identify(const Environment& environment, Config& config) {
  for (const Source& source : kSources) {
    const std::string* rank = value_of(environment, source.rank);
    const std::string* size = value_of(environment, source.size);
    require_pair(source, rank != nullptr, size != nullptr);
    if (rank == nullptr) continue;
    take_rank_and_size(source, *rank, *size, config);
    if (source.launcher == Launcher::torchrun &&
        value_of(environment, "PACELINE_ROOT") == nullptr && config.size > 1) {
      config.root = torchrun_root(environment);
    }
    return;
  }
}

}  // namespace paceline
