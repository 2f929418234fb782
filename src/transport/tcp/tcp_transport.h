// The contract in software, over TCP: for hosts without RDMA, and to measure RDMA against.
// See docs/design/transport.md for the frame format.
#pragma once

#include <memory>
#include <string>

#include "transport/transport.h"

namespace paceline::transport {

struct TcpOptions {
  /// Parallel streams per peer, 1..8; both ends must use the same number. One stream is served by
  /// one core of the receiver's kernel and by one congestion window; two hide a loss in either.
  int links = 2;
  /// The kernel's name of a congestion control; empty: the system's.
  std::string congestion = {};
};

/// Throws Error (invalid_configuration) for a number of links out of range or a congestion control
/// that this process may not use, and (out_of_memory) if the process is out of descriptors.
std::unique_ptr<Transport> make_tcp_transport(const TcpOptions& options);

}  // namespace paceline::transport
