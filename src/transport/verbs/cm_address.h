// The addresses by which the connection manager knows a device: it speaks of IP addresses, and
// finds the device behind each by itself.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "transport_verbs/cm_api.h"
#include "transport_verbs/gid.h"
#include "transport_verbs/ibv_api.h"

namespace paceline::transport::verbs {

/// As a socket address, and back to a Gid: IPv4 as a mapped address, as GIDs have it.
struct CmAddress {
  sockaddr_storage storage = {};

  static CmAddress from(const Gid& address, std::uint16_t port);
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

/// The addresses of this host's interfaces that belong to port `port` of the device `name`, as the
/// manager sees it: those of the host's loopback last.
std::vector<Gid> addresses_of(const CmApi& cm, const VerbsApi& verbs, const std::string& name,
                              std::uint8_t port);

/// The one of `addresses`, which is not empty, to make a link from whose ends met over that
/// network.
Gid nearest(const std::vector<Gid>& addresses, std::optional<Ipv4Network> near);

}  // namespace paceline::transport::verbs
