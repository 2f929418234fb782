// The one list of transports that this build has, and how each is made.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "communicator/roster.h"
#include "transport/transport.h"

namespace paceline {

/// A transport, or the reason why there is none.
struct MadeTransport {
  std::unique_ptr<transport::Transport> transport = {};
  std::string why_not = {};
};

MadeTransport make_transport(WireNumber number, const Config& config, const std::string& host_id,
                             const Logger& log);

/// Bytes of data that one message of this wire carries, beside the engine's header.
std::size_t longest_eager(WireNumber number);

}  // namespace paceline
