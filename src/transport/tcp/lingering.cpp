#include "transport_tcp/lingering.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>

namespace paceline::transport::tcp {
namespace {

/// Three of TCP's first time-outs (200, 400 ms) fit; who has not acknowledged by then is gone.
constexpr Nanoseconds kPatience = 1 * kSecond;

/// Throws away what came in. True if the socket can be closed without loss.
bool through(int socket) {
  std::array<std::byte, 16384> scrap;
  for (;;) {
    const ssize_t n = ::recv(socket, scrap.data(), scrap.size(), MSG_DONTWAIT);
    if (n == 0) return true;  // the peer has closed too, after our last byte or not caring for it
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return true;
    if (n < 0) break;
  }
  int unacknowledged = 0;
  return ::ioctl(socket, SIOCOUTQ, &unacknowledged) != 0 || unacknowledged == 0;
}

/// Other families hand over what was written before the close in any case.
bool is_tcp(int socket) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
         (domain == AF_INET || domain == AF_INET6);
}

}  // namespace

void Lingering::add(UniqueFd socket) {
  ::shutdown(socket.get(), SHUT_WR);
  if (through(socket.get()) || !is_tcp(socket.get())) return;
  sockets_.push_back(std::move(socket));
}

void Lingering::tend() noexcept {
  std::erase_if(sockets_, [](const UniqueFd& socket) { return through(socket.get()); });
}

Lingering::~Lingering() {
  const Nanoseconds end = steady_now() + kPatience;
  for (tend(); !sockets_.empty() && steady_now() < end; tend()) {
    // Acknowledgements wake nobody; a millisecond is nothing to who is leaving.
    ::poll(nullptr, 0, 1);
  }
}

}  // namespace paceline::transport::tcp
