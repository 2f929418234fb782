// "host:port" and "[v6]:port".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace paceline {

struct HostPort {
  std::string host;  ///< a name or an address, without brackets
  std::uint16_t port = 0;
  bool operator==(const HostPort&) const = default;
};

/// Empty unless there is a host and a port in 1..65535. An IPv6 address needs its brackets.
std::optional<HostPort> host_port_from(std::string_view text);

/// The inverse; brackets around a host that contains a colon.
std::string to_string(const HostPort& where);

}  // namespace paceline
