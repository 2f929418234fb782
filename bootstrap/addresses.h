// Socket addresses, and the question which of this host's addresses its peers can reach.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/wire.h"

namespace paceline::bootstrap {

/// An IPv4, IPv6 or abstract AF_UNIX address. A plain value.
class SocketAddress {
 public:
  SocketAddress() = default;
  SocketAddress(const sockaddr* address, socklen_t length);

  /// Abstract AF_UNIX: no file, gone with its socket, one name space per network namespace.
  static SocketAddress abstract(const std::string& name);
  static SocketAddress loopback_v4();
  /// Our own end of a connected socket.
  static SocketAddress local_end(int fd);
  static SocketAddress remote_end(int fd);

  [[nodiscard]] const sockaddr* data() const {
    return reinterpret_cast<const sockaddr*>(&storage_);
  }
  [[nodiscard]] socklen_t length() const { return length_; }
  [[nodiscard]] int family() const { return storage_.ss_family; }
  [[nodiscard]] bool empty() const { return length_ == 0; }
  [[nodiscard]] bool local() const { return family() == AF_UNIX; }
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] SocketAddress with_port(std::uint16_t port) const;
  /// 127/8 or ::1; an abstract name counts, since nobody outside this host reaches it.
  [[nodiscard]] bool loopback() const;
  /// 0.0.0.0 or ::
  [[nodiscard]] bool unspecified() const;
  /// A link-local IPv6 address means nothing without the interface: it takes `own`'s.
  [[nodiscard]] SocketAddress with_scope_of(const SocketAddress& own) const;
  /// "10.0.0.1:5000", "[::1]:5000", "@paceline-..."
  [[nodiscard]] std::string text() const;
  bool operator==(const SocketAddress& other) const;

  void encode(WireWriter& out) const;
  /// Empty if what was read is no IPv4 or IPv6 address.
  static SocketAddress decode(WireReader& in);

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

/// The addresses that "host:port" or "[v6]:port" stands for. May ask the name service, which can
/// block. Throws Error (invalid_configuration) in words for people.
std::vector<SocketAddress> resolve(const std::string& host_and_port);

/// The source address that the kernel would use towards `target`, port 0; empty if there is no
/// route. Nothing is sent.
SocketAddress source_towards(const SocketAddress& target);

/// The address of an interface, port 0, of `family` if it has one (AF_UNSPEC: IPv4 first).
/// Throws Error (invalid_configuration), naming the interfaces that there are.
SocketAddress interface_address(const std::string& name, int family);

/// An address of this host that other hosts can reach: the one on the default route, else the
/// first of an interface that is up; empty if there is only loopback.
SocketAddress external_address();

/// What the kernel calls this host.
std::string host_name();

/// "errno text".
std::string errno_text(int error);

}  // namespace paceline::bootstrap
