// How a process reaches its launcher's own channel, as text in Config::channel:
//   pmix                      PMIx, whose library the loader finds
//   pmix:/a/lib:/b/lib        PMIx, whose library is looked for in these folders first
//   pmi:fd=8                  PMI-1 over an open socket
//   pmi:port=host:4711,id=3   PMI-1 over a connection to be made, as process 3
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/host_port.h"

namespace paceline {

struct PmixChannel {
  std::vector<std::string> folders = {};  ///< of libpmix.so.2, in the order to be tried
  bool operator==(const PmixChannel&) const = default;
};

struct PmiSocket {
  int fd = -1;
  bool operator==(const PmiSocket&) const = default;
};

struct PmiServer {
  HostPort where = {};
  int id = 0;
  bool operator==(const PmiServer&) const = default;
};

using LauncherChannel = std::variant<PmixChannel, PmiSocket, PmiServer>;

/// Empty if the text is none of the above.
std::optional<LauncherChannel> launcher_channel_from(std::string_view text);
/// The inverse.
std::string to_string(const LauncherChannel& channel);

}  // namespace paceline
