#include "bootstrap/addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <set>
#include <span>
#include <system_error>

#include "base/path_pattern.h"
#include "base/unique_fd.h"
#include "paceline/error.h"

namespace paceline::bootstrap {

namespace {

constexpr std::uint8_t kWireV4 = 4;
constexpr std::uint8_t kWireV6 = 6;

template <class T>
const T& as(const sockaddr_storage& storage) {
  return reinterpret_cast<const T&>(storage);
}

socklen_t length_of(int family) {
  return static_cast<socklen_t>(family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
}

struct InterfaceList {
  InterfaceList() {
    if (getifaddrs(&head) != 0) {
      throw Error(ErrorCode::internal, "getifaddrs: " + errno_text(errno));
    }
  }
  ~InterfaceList() { freeifaddrs(head); }
  InterfaceList(const InterfaceList&) = delete;
  InterfaceList& operator=(const InterfaceList&) = delete;
  ifaddrs* head = nullptr;
};

bool is_ip(const sockaddr* address) {
  return address != nullptr && (address->sa_family == AF_INET || address->sa_family == AF_INET6);
}

bool link_local(const sockaddr_in6& address) {
  return IN6_IS_ADDR_LINKLOCAL(&address.sin6_addr);
}

[[noreturn]] void malformed_root(const std::string& text) {
  throw Error(ErrorCode::invalid_configuration,
              "\"" + text +
                  "\" is not an address to meet at: write host:port or [v6]:port with a port of "
                  "1..65535, e.g. node1:29500 or [fd00::1]:29500 (Config::root, PACELINE_ROOT)");
}

}  // namespace

SocketAddress::SocketAddress(const sockaddr* address, socklen_t length)
    : length_(std::min(length, static_cast<socklen_t>(sizeof storage_))) {
  std::memcpy(&storage_, address, length_);
}

SocketAddress SocketAddress::abstract(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::min(name.size(), sizeof address.sun_path - 1);
  std::memcpy(address.sun_path + 1, name.data(), length);  // the leading zero makes it abstract
  return {reinterpret_cast<const sockaddr*>(&address),
          static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length)};
}

SocketAddress SocketAddress::loopback_v4() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return {reinterpret_cast<const sockaddr*>(&address), sizeof address};
}

SocketAddress SocketAddress::local_end(int fd) {
  SocketAddress result;
  result.length_ = sizeof result.storage_;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&result.storage_), &result.length_) != 0)
    return {};
  return result;
}

SocketAddress SocketAddress::remote_end(int fd) {
  SocketAddress result;
  result.length_ = sizeof result.storage_;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&result.storage_), &result.length_) != 0)
    return {};
  return result;
}

std::uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(as<sockaddr_in>(storage_).sin_port);
  if (family() == AF_INET6) return ntohs(as<sockaddr_in6>(storage_).sin6_port);
  return 0;
}

SocketAddress SocketAddress::with_port(std::uint16_t port) const {
  SocketAddress result = *this;
  // sin_port and sin6_port are at the same place.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  if (!local()) reinterpret_cast<sockaddr_in&>(result.storage_).sin_port = htons(port);
  return result;
}

bool SocketAddress::loopback() const {
  if (family() == AF_INET) return ntohl(as<sockaddr_in>(storage_).sin_addr.s_addr) >> 24 == 127;
  if (family() == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&as<sockaddr_in6>(storage_).sin6_addr);
  return local();
}

bool SocketAddress::unspecified() const {
  if (family() == AF_INET) return as<sockaddr_in>(storage_).sin_addr.s_addr == INADDR_ANY;
  if (family() == AF_INET6) return IN6_IS_ADDR_UNSPECIFIED(&as<sockaddr_in6>(storage_).sin6_addr);
  return false;
}

SocketAddress SocketAddress::with_scope_of(const SocketAddress& own) const {
  SocketAddress result = *this;
  if (family() != AF_INET6 || own.family() != AF_INET6) return result;
  auto& address = reinterpret_cast<sockaddr_in6&>(result.storage_);
  if (link_local(address)) address.sin6_scope_id = as<sockaddr_in6>(own.storage_).sin6_scope_id;
  return result;
}

std::string SocketAddress::text() const {
  if (local()) {
    const auto& address = as<sockaddr_un>(storage_);
    const std::size_t prefix = offsetof(sockaddr_un, sun_path) + 1;
    return length_ <= prefix ? "a local socket"
                             : "@" + std::string(address.sun_path + 1, length_ - prefix);
  }
  std::array<char, NI_MAXHOST> host{};
  if (empty() ||
      getnameinfo(data(), length_, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST)) {
    return "an unknown address";
  }
  const std::string name(host.data());
  return (family() == AF_INET6 ? "[" + name + "]" : name) + ":" + std::to_string(port());
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  return length_ == other.length_ && std::memcmp(&storage_, &other.storage_, length_) == 0;
}

void SocketAddress::encode(WireWriter& out) const {
  if (family() == AF_INET) {
    out.u8(kWireV4).raw(std::as_bytes(std::span(&as<sockaddr_in>(storage_).sin_addr, 1)));
  } else {
    out.u8(kWireV6).raw(std::as_bytes(std::span(&as<sockaddr_in6>(storage_).sin6_addr, 1)));
  }
  out.u16(port());
}

SocketAddress SocketAddress::decode(WireReader& in) {
  SocketAddress result;
  const std::uint8_t kind = in.u8();
  if (kind != kWireV4 && kind != kWireV6) return {};
  const int family = kind == kWireV4 ? AF_INET : AF_INET6;
  const ConstBytes raw = in.raw(family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr));
  const std::uint16_t port = in.u16();
  if (!in.ok()) return {};
  result.storage_.ss_family = static_cast<sa_family_t>(family);
  result.length_ = length_of(family);
  void* const place =
      family == AF_INET
          ? static_cast<void*>(&reinterpret_cast<sockaddr_in&>(result.storage_).sin_addr)
          : &reinterpret_cast<sockaddr_in6&>(result.storage_).sin6_addr;
  std::memcpy(place, raw.data(), raw.size());
  return result.with_port(port);
}

std::vector<SocketAddress> resolve(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) malformed_root(text);
  std::string host = text.substr(0, colon);
  const std::string port = text.substr(colon + 1);
  if (host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {
    malformed_root(text);  // an IPv6 address without brackets: where its port begins is a guess
  }
  const bool digits =
      !port.empty() && port.size() <= 5 &&
      std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || std::stoi(port) < 1 || std::stoi(port) > 65535) malformed_root(text);

  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int rc = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); rc != 0) {
    throw Error(ErrorCode::invalid_configuration,
                "the host of \"" + text + "\" has no address: " +
                    (rc == EAI_SYSTEM ? errno_text(errno) : std::string(gai_strerror(rc))) +
                    "; check Config::root (PACELINE_ROOT) and the name service");
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  std::vector<SocketAddress> result;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    if (!is_ip(a->ai_addr)) continue;
    const SocketAddress address(a->ai_addr, a->ai_addrlen);
    if (address.unspecified()) {
      throw Error(ErrorCode::invalid_configuration,
                  "\"" + text +
                      "\" means every address of a host, which nobody can connect to: name the one "
                      "that all ranks reach (Config::root, PACELINE_ROOT)");
    }
    if (std::find(result.begin(), result.end(), address) == result.end()) result.push_back(address);
  }
  if (result.empty()) malformed_root(text);
  return result;
}

SocketAddress source_towards(const SocketAddress& target) {
  // Connecting a datagram socket looks up the route and sends nothing.
  const UniqueFd fd(::socket(target.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const SocketAddress with_port = target.port() != 0 ? target : target.with_port(9);
  if (!fd || ::connect(fd.get(), with_port.data(), with_port.length()) != 0) return {};
  return SocketAddress::local_end(fd.get()).with_port(0);
}

SocketAddress interface_address(const std::string& name, int family) {
  const InterfaceList list;
  std::set<std::string> names;
  SocketAddress best;
  for (const ifaddrs* i = list.head; i != nullptr; i = i->ifa_next) {
    names.insert(i->ifa_name);
    if (name != i->ifa_name || !is_ip(i->ifa_addr)) continue;
    const SocketAddress address(i->ifa_addr, length_of(i->ifa_addr->sa_family));
    const auto rank = [&](const SocketAddress& a) {
      if (a.empty()) return 3;
      if (family != AF_UNSPEC) return a.family() == family ? 0 : 1;
      return a.family() == AF_INET ? 0 : 1;
    };
    if (rank(address) < rank(best)) best = address;
  }
  if (!best.empty()) return best;
  std::string all;
  for (const std::string& n : names) all += (all.empty() ? "" : ", ") + n;
  throw Error(ErrorCode::invalid_configuration,
              "interface \"" + name + "\" (Config::interface_name, PACELINE_INTERFACE) " +
                  (names.contains(name) ? "has no IP address" : "does not exist") +
                  "; there are: " + all);
}

SocketAddress external_address() {
  // Addresses kept for documentation: never on a network of one's own, so the default route's
  // source is what comes back.
  for (const char* outside : {"192.0.2.1:9", "198.51.100.1:9", "[2001:db8::1]:9"}) {
    const SocketAddress source = source_towards(resolve(outside).front());
    if (!source.empty() && !source.loopback() && !source.unspecified()) return source;
  }
  const InterfaceList list;
  for (const ifaddrs* i = list.head; i != nullptr; i = i->ifa_next) {
    if (!is_ip(i->ifa_addr) || (i->ifa_flags & IFF_UP) == 0) continue;
    const SocketAddress address(i->ifa_addr, length_of(i->ifa_addr->sa_family));
    const bool scoped = address.family() == AF_INET6 &&
                        link_local(reinterpret_cast<const sockaddr_in6&>(*i->ifa_addr));
    if (!address.loopback() && !scoped) return address;
  }
  return {};
}

std::string host_name() {
  return this_host();
}

std::string errno_text(int error) {
  return std::generic_category().message(error);
}

}  // namespace paceline::bootstrap
