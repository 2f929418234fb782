// Which of a port's addresses to use. A RoCE port has a table of GIDs: for each IP address of its
// network interface one for RoCE v1 and one for RoCE v2. Both ends must use the same version and
// the same family, or nothing arrives and nothing says why.
#pragma once

#include <infiniband/verbs.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace paceline::transport::verbs {

using Gid = std::array<std::uint8_t, 16>;

/// How two ports reach each other; both ends must have the same. The numbers travel.
enum class LinkKind : std::uint8_t {
  infiniband = 1,
  roce_v1 = 2,
  roce_v2_ipv4 = 3,
  roce_v2_ipv6 = 4,
  iwarp = 5,
};

/// "InfiniBand", "RoCE v1", "RoCE v2 over IPv4", "RoCE v2 over IPv6", "iWARP"; "?" for anything
/// else.
const char* to_string(LinkKind kind);
constexpr bool is_valid(LinkKind kind) {
  return kind >= LinkKind::infiniband && kind <= LinkKind::iwarp;
}

/// One entry of the table.
struct GidEntry {
  int index = 0;
  Gid gid = {};
  LinkKind kind = LinkKind::roce_v2_ipv4;
};

/// The kind of a GID on an Ethernet port.
LinkKind kind_of_gid(const Gid& gid, bool version_2);

bool is_zero(const Gid& gid);
bool is_ipv4_mapped(const Gid& gid);
/// Of a mapped address, in host order.
std::uint32_t ipv4_of(const Gid& gid);
bool is_link_local(const Gid& gid);
/// As an IPv6 address: "::ffff:10.0.0.1".
std::string to_text(const Gid& gid);

/// An IPv4 network in host order: what the ranks meet over.
struct Ipv4Network {
  std::uint32_t address = 0;
  std::uint32_t mask = 0;
};
/// True if `gid` is an IPv4 address of that network; false where none is given.
bool is_near(const Gid& gid, std::optional<Ipv4Network> network);

/// The entry to use, out of those of one Ethernet port. In this order: v2 with an IPv4 address in
/// `near`, v2 with IPv4, v2 with a global IPv6 address, v2 link-local, v1; of equals the lowest
/// index. Empty if there is none.
std::optional<GidEntry> choose_gid(std::span<const GidEntry> entries,
                                   std::optional<Ipv4Network> near);

/// The network of the local end of a connected socket, from the interface that has its address;
/// empty if it is not IPv4 or a loopback.
std::optional<Ipv4Network> network_of_socket(int fd);

}  // namespace paceline::transport::verbs
