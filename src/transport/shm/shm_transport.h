// The wire between ranks of one host: shared memory.
//
// Each end of a link owns an inbox (inbox.h), a memfd that the other end maps; messages and
// counters are plain stores into it. A registration of memory that has a file travels to every
// linked peer as a descriptor, so that puts are copies and map() is free. A UNIX socket per link
// carries the descriptors and, by its end, the news of a peer's death.
//
// Memory per link and side: one inbox, about 70 KiB.
#pragma once

#include <memory>
#include <string>

#include "transport/transport.h"

namespace paceline::transport {

struct ShmOptions {
  /// Ranks with equal host ids can share memory; 1..256 bytes.
  std::string host_id;
};

/// Throws Error (invalid_configuration) if an option is out of its range.
[[nodiscard]] std::unique_ptr<Transport> make_shm_transport(const ShmOptions& options);

}  // namespace paceline::transport
