// Sockets of endpoints that were closed, while the kernel still delivers their last bytes.
//
// A socket that is closed while it has unread input, or that gets input after it was closed, is
// reset by the kernel, and what it had yet to deliver is lost: a rank that leaves right after its
// last put would take that put away from a peer that returns a credit at the same moment. So our
// direction is ended first (FIN follows the data), what still comes in is read and thrown away,
// and the socket is closed once the peer's kernel has everything.
#pragma once

#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace paceline::transport::tcp {

class Lingering {
 public:
  /// Waits for what is left, but no longer than a few retransmissions take.
  ~Lingering();

  void add(UniqueFd socket);
  /// Closes those that are through.
  void tend() noexcept;
  [[nodiscard]] bool empty() const { return sockets_.empty(); }

 private:
  std::vector<UniqueFd> sockets_;
};

}  // namespace paceline::transport::tcp
