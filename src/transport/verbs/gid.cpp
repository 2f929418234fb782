#include "transport_verbs/gid.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace paceline::transport::verbs {
namespace {

constexpr Gid kIpv4Prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};

/// Lower is better.
int rank_of(const GidEntry& entry, std::optional<Ipv4Network> near) {
  switch (entry.kind) {
    case LinkKind::roce_v2_ipv4:
      return is_near(entry.gid, near) ? 0 : 1;
    case LinkKind::roce_v2_ipv6:
      return is_link_local(entry.gid) ? 3 : 2;
    case LinkKind::roce_v1:
      return 4;
    case LinkKind::infiniband:
    case LinkKind::iwarp:
      break;
  }
  return 5;
}

}  // namespace

const char* to_string(LinkKind kind) {
  switch (kind) {
    case LinkKind::infiniband:
      return "InfiniBand";
    case LinkKind::roce_v1:
      return "RoCE v1";
    case LinkKind::roce_v2_ipv4:
      return "RoCE v2 over IPv4";
    case LinkKind::roce_v2_ipv6:
      return "RoCE v2 over IPv6";
    case LinkKind::iwarp:
      return "iWARP";
  }
  return "?";
}

LinkKind kind_of_gid(const Gid& gid, bool version_2) {
  if (!version_2) return LinkKind::roce_v1;
  return is_ipv4_mapped(gid) ? LinkKind::roce_v2_ipv4 : LinkKind::roce_v2_ipv6;
}

bool is_zero(const Gid& gid) {
  return gid == Gid{};
}

bool is_ipv4_mapped(const Gid& gid) {
  return std::equal(gid.begin(), gid.begin() + 12, kIpv4Prefix.begin());
}

std::uint32_t ipv4_of(const Gid& gid) {
  return std::uint32_t{gid[12]} << 24 | std::uint32_t{gid[13]} << 16 | std::uint32_t{gid[14]} << 8 |
         gid[15];
}

bool is_near(const Gid& gid, std::optional<Ipv4Network> network) {
  return network && is_ipv4_mapped(gid) && ((ipv4_of(gid) ^ network->address) & network->mask) == 0;
}

bool is_link_local(const Gid& gid) {
  return gid[0] == 0xfe && (gid[1] & 0xc0) == 0x80;
}

std::string to_text(const Gid& gid) {
  char text[INET6_ADDRSTRLEN] = {};
  return ::inet_ntop(AF_INET6, gid.data(), text, sizeof(text));
}

std::optional<GidEntry> choose_gid(std::span<const GidEntry> entries,
                                   std::optional<Ipv4Network> near) {
  std::optional<GidEntry> best;
  for (const GidEntry& entry : entries) {
    if (is_zero(entry.gid) || entry.kind == LinkKind::infiniband) continue;
    const auto key = [&](const GidEntry& e) { return std::pair(rank_of(e, near), e.index); };
    if (!best || key(entry) < key(*best)) best = entry;
  }
  return best;
}

std::optional<Ipv4Network> network_of_socket(int fd) {
  sockaddr_in own{};
  socklen_t length = sizeof(own);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length) != 0 ||
      own.sin_family != AF_INET || (ntohl(own.sin_addr.s_addr) >> 24) == IN_LOOPBACKNET) {
    return std::nullopt;
  }
  // An address that no interface owns up to is still worth an exact match.
  Ipv4Network network{ntohl(own.sin_addr.s_addr), ~std::uint32_t{0}};
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return network;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_netmask == nullptr) continue;
    if (one->ifa_addr->sa_family != AF_INET) continue;
    sockaddr_in address{};
    sockaddr_in mask{};
    std::memcpy(&address, one->ifa_addr, sizeof(address));
    std::memcpy(&mask, one->ifa_netmask, sizeof(mask));
    if (address.sin_addr.s_addr == own.sin_addr.s_addr) network.mask = ntohl(mask.sin_addr.s_addr);
  }
  ::freeifaddrs(all);
  return network;
}

}  // namespace paceline::transport::verbs
