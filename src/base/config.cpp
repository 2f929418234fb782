// From the environment to a Config. base/variables.h says what there is; base/launcher.h who we
// are.
#include "paceline/config.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/launcher.h"
#include "base/suggest.h"
#include "base/variables.h"
#include "paceline/error.h"

namespace paceline {
namespace {

constexpr std::string_view kPrefix = "PACELINE_";

// One byte more than the longest secret and its newline: enough to see that it is too long.
constexpr std::size_t kSecretFileLimit = 4096 + 2;

[[noreturn]] void refuse(const std::string& text) {
  throw Error(ErrorCode::invalid_configuration, text);
}

// A misspelt variable would otherwise be ignored in silence.
void refuse_unknown(const Environment& environment) {
  std::vector<std::string_view> known = {kSecretFile};
  for (const Variable& variable : variables()) known.push_back(variable.name);
  for (auto it = environment.lower_bound(std::string(kPrefix));
       it != environment.end() && it->first.starts_with(kPrefix); ++it) {
    const std::string& name = it->first;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    refuse("the variable " + name + " does not exist; the nearest that does is " +
           std::string(nearest(name, known)) + ". Correct it or unset it");
  }
}

void read_fields(const Environment& environment, Config& config) {
  for (const Variable& variable : variables()) {
    const std::string* text = value_of(environment, variable.name);
    if (text == nullptr) continue;
    const bool is_secret = variable.field == "secret";
    if (variable.read(config, *text) && variable.valid(config)) continue;
    refuse(std::string(variable.name) + " is " +
           (is_secret ? variable.show(config) : "\"" + *text + "\"") +
           "; allowed: " + std::string(variable.allowed));
  }
}

void read_secret_file(const Environment& environment, Config& config) {
  const std::string* path = value_of(environment, kSecretFile);
  if (path == nullptr) return;
  const std::string name(kSecretFile);
  if (!config.secret.empty()) {
    refuse("PACELINE_SECRET and " + name + " are both set; unset one of them");
  }
  std::ifstream file(*path, std::ios::binary);
  if (!file) {
    refuse(name + " is \"" + *path + "\", which cannot be read: " + std::strerror(errno));
  }
  std::string content(kSecretFileLimit, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<std::size_t>(file.gcount()));
  if (content.ends_with('\n')) content.pop_back();
  config.secret = content;
  for (const Variable& variable : variables()) {
    if (variable.field != "secret" || (!content.empty() && variable.valid(config))) continue;
    refuse(name + " is \"" + *path + "\", which holds a secret of " +
           std::to_string(content.size()) + " bytes; allowed: " + std::string(variable.allowed));
  }
}

// Half a description of a job must not pass for a job of one rank.
void require_complete(const Config& config) {
  if (config.launcher == Launcher::none && !config.root.empty()) {
    refuse(
        "PACELINE_ROOT is set, but nothing says which rank this is; set PACELINE_RANK and "
        "PACELINE_SIZE too, start the program with mpirun, srun or torchrun, or unset "
        "PACELINE_ROOT");
  }
  if (config.launcher != Launcher::paceline || config.size == 1 || !config.root.empty()) return;
  refuse("PACELINE_RANK and PACELINE_SIZE are set, the size is " + std::to_string(config.size) +
         ", but PACELINE_ROOT is not set; say where rank 0 listens: PACELINE_ROOT=host:port, the "
         "same on every rank");
}

}  // namespace

std::string_view to_string(Launcher launcher) {
  switch (launcher) {
    case Launcher::none:
      return "none";
    case Launcher::paceline:
      return "paceline";
    case Launcher::open_mpi:
      return "open_mpi";
    case Launcher::torchrun:
      return "torchrun";
    case Launcher::mpich:
      return "mpich";
    case Launcher::intel_mpi:
      return "intel_mpi";
    case Launcher::slurm:
      return "slurm";
    case Launcher::pmix:
      return "pmix";
  }
  return "?";
}

Config Config::from(const std::map<std::string, std::string>& environment) {
  Config config;
  refuse_unknown(environment);
  identify(environment, config);
  read_fields(environment, config);
  read_secret_file(environment, config);
  require_complete(config);
  config.validate();
  return config;
}

Config Config::from_environment() {
  std::map<std::string, std::string> environment;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view line = *entry;
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    environment.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  return from(environment);
}

void Config::validate() const {
  for (const Variable& variable : variables()) {
    if (variable.valid(*this)) continue;
    refuse("Config::" + std::string(variable.field) + " is \"" + variable.show(*this) +
           "\"; allowed: " + std::string(variable.allowed) + " (" + std::string(variable.name) +
           ")");
  }
}

}  // namespace paceline
