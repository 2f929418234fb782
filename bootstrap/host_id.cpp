#include <unistd.h>

#include <array>
#include <fstream>
#include <string>

#include "bootstrap/addresses.h"
#include "bootstrap/bootstrap.h"

namespace paceline::bootstrap {

// The boot id tells machines apart (and one machine from itself before a restart), the network
// namespace tells containers apart that cannot reach each other over loopback.
std::string default_host_id() {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  if (boot.empty()) boot = host_name();  // no /proc: names are the next best thing
  std::array<char, 64> space{};
  const ssize_t length = readlink("/proc/self/ns/net", space.data(), space.size());
  return boot + ":" +
         (length > 0 ? std::string(space.data(), static_cast<std::size_t>(length)) : "net");
}

}  // namespace paceline::bootstrap
