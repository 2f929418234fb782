#include "transport_verbs/cm_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <cstring>

#include "transport_verbs/cm_handles.h"

namespace paceline::transport::verbs {
namespace {

Gid mapped(in_addr address) {
  Gid gid{};
  gid[10] = gid[11] = 0xff;
  std::memcpy(gid.data() + 12, &address, sizeof(address));
  return gid;
}

/// Link-local ones are left out: they mean nothing without the number of an interface, which is
/// another one at the peer.
std::vector<Gid> addresses_of_host() {
  std::vector<Gid> loopback;
  std::vector<Gid> others;
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return {};
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_UP) == 0) continue;
    auto& list = (one->ifa_flags & IFF_LOOPBACK) != 0 ? loopback : others;
    if (one->ifa_addr->sa_family == AF_INET) {
      sockaddr_in address{};
      std::memcpy(&address, one->ifa_addr, sizeof(address));
      list.push_back(mapped(address.sin_addr));
    } else if (one->ifa_addr->sa_family == AF_INET6) {
      sockaddr_in6 address{};
      std::memcpy(&address, one->ifa_addr, sizeof(address));
      Gid gid{};
      std::memcpy(gid.data(), &address.sin6_addr, gid.size());
      if (!is_link_local(gid)) list.push_back(gid);
    }
  }
  ::freeifaddrs(all);
  others.insert(others.end(), loopback.begin(), loopback.end());
  return others;
}

}  // namespace

CmAddress CmAddress::from(const Gid& address, std::uint16_t port) {
  CmAddress result;
  if (is_ipv4_mapped(address)) {
    sockaddr_in plain{};
    plain.sin_family = AF_INET;
    plain.sin_port = htons(port);
    std::memcpy(&plain.sin_addr, address.data() + 12, sizeof(plain.sin_addr));
    std::memcpy(&result.storage, &plain, sizeof(plain));
  } else {
    sockaddr_in6 plain{};
    plain.sin6_family = AF_INET6;
    plain.sin6_port = htons(port);
    std::memcpy(&plain.sin6_addr, address.data(), address.size());
    std::memcpy(&result.storage, &plain, sizeof(plain));
  }
  return result;
}

std::vector<Gid> addresses_of(const CmApi& cm, const VerbsApi& verbs, const std::string& name,
                              std::uint8_t port) {
  std::vector<Gid> found;
  const CmChannelHandle channel(cm.create_event_channel(), {&cm});
  if (!channel) return found;
  for (const Gid& candidate : addresses_of_host()) {
    rdma_cm_id* raw = nullptr;
    if (cm.create_id(channel.get(), &raw) != 0) break;
    const CmIdHandle id(raw, {&cm});
    CmAddress address = CmAddress::from(candidate, 0);
    if (cm.bind_addr(id.get(), address.get()) != 0 || id->verbs == nullptr) continue;
    if (verbs.get_device_name(id->verbs->device) == name && id->port_num == port) {
      found.push_back(candidate);
    }
  }
  return found;
}

Gid nearest(const std::vector<Gid>& addresses, std::optional<Ipv4Network> near) {
  const auto found = std::find_if(addresses.begin(), addresses.end(),
                                  [&](const Gid& address) { return is_near(address, near); });
  return found == addresses.end() ? addresses.front() : *found;
}

}  // namespace paceline::transport::verbs
