// The one list of transports that this build has, and how each is made.
#pragma once

#include <algorithm>
#include <cstddef>
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

/// Bytes of data that one message of a wire carries, beside the engine's header.
struct EagerBytes {
  std::size_t block = 0;
  std::size_t piece = 0;  ///< of blocks that are cut (collectives::Grain)

  /// Of pieces where so many ranks share a core: whoever waits for an announcement there waits for
  /// others' turns, so that messages are worth more.
  [[nodiscard]] std::size_t piece_for(int ranks_per_core) const {
    return ranks_per_core > 1 ? block : piece;
  }

  /// What both can.
  [[nodiscard]] EagerBytes with(const EagerBytes& other) const {
    return {std::min(block, other.block), std::min(piece, other.piece)};
  }
};

EagerBytes longest_eager(WireNumber number);

}  // namespace paceline
