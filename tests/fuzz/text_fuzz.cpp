// What people write: addresses, and the whole environment.
#include <map>

#include "base/host_port.h"
#include "base/suggest.h"
#include "base/variables.h"
#include "fuzz/input.h"
#include "paceline/config.h"
#include "paceline/error.h"

namespace paceline {
namespace {

using fuzz::require;
using fuzz::text_of;

void read_host_port(const std::string& text) {
  const auto where = host_port_from(text);
  if (!where) return;
  require(!where->host.empty() && where->port != 0, "an address has a host and a port");
  require(host_port_from(to_string(*where)) == where, "an address is written as it can be read");
}

// Lines of NAME=value. What comes out is a Config that passes its own check; what does not is
// refused in words. PACELINE_SECRET_FILE is left out: it would open files.
void read_environment(const std::string& text) {
  std::map<std::string, std::string> environment;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos || line.starts_with(kSecretFile)) continue;
    environment[line.substr(0, equals)] = line.substr(equals + 1);
  }
  try {
    const Config config = Config::from(environment);
    config.validate();
    for (const Variable& variable : variables()) {
      Config again;
      if (const std::string shown = variable.show(config);
          !shown.empty() && variable.field != "secret") {
        require(variable.read(again, shown), "a setting is shown as it can be read");
        require(variable.show(again) == shown, "a setting that was read back is the same");
      }
    }
  } catch (const Error& error) {
    require(error.code() == ErrorCode::invalid_configuration && *error.what() != '\0',
            "what is refused is refused in words");
  }
}

}  // namespace
}  // namespace paceline

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace paceline;
  fuzz::Input input(data, size);
  const bool whole = input.byte() % 2 == 1;
  const std::string text = text_of(input.rest());
  if (whole) {
    read_environment(text);
  } else {
    read_host_port(text);
  }
  return 0;
}
