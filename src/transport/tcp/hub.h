// What the endpoints of one TCP transport share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "transport/transport.h"
#include "transport_tcp/lingering.h"
#include "transport_tcp/registration_table.h"

namespace paceline::transport::tcp {

class TcpEndpoint;

/// One message in memory. Kept in a pool: how many are alive at once is the application's, not
/// the number of peers times the size of a mailbox.
struct Message {
  std::array<std::byte, kMaxMessage> data;
  std::size_t length = 0;
};

/// Shared by the transport, its endpoints and its registrations, which may go in any order.
struct Hub {
  UniqueFd epoll;
  RegistrationTable registrations;
  std::vector<TcpEndpoint*> endpoints;
  /// How many endpoints want tend() to be called.
  std::size_t restless = 0;
  std::vector<std::unique_ptr<Message>> spare_messages;
  Lingering lingering;
};

}  // namespace paceline::transport::tcp
