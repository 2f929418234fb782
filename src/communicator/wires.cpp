#include "communicator/wires.h"

#include <algorithm>

#include "engine/announcement.h"
#include "paceline/error.h"
#include "transport_shm/shm_transport.h"
#include "transport_tcp/frame.h"
#include "transport_tcp/tcp_transport.h"
#include "transport_verbs/verbs_transport.h"

namespace paceline {

MadeTransport make_transport(WireNumber number, const Config& config, const std::string& host_id,
                             const Logger& log) {
  const std::string name = kWireNames[static_cast<std::size_t>(number)];
  if (std::find(config.transports.begin(), config.transports.end(), name) ==
      config.transports.end()) {
    return {nullptr, "not among the allowed transports"};
  }
  try {
    switch (number) {
      case WireNumber::shm:
        return {transport::make_shm_transport({host_id}), ""};
      case WireNumber::verbs: {
        transport::VerbsOptions options;
        options.device = config.ib_device;
        options.gid_index = config.ib_gid_index;
        options.notify = config.ib_notify;
        options.connect = config.ib_connect;
        // Where there is no device, peers hear the reason from our card, and nothing is kept going.
        const transport::Reachable available = transport::verbs_available(options);
        if (!available.yes) return {nullptr, available.why_not};
        options.log = log;
        return {transport::make_verbs_transport(options), ""};
      }
      case WireNumber::tcp:
        return {transport::make_tcp_transport({config.tcp_links, config.tcp_congestion}), ""};
    }
  } catch (const Error& error) {
    return {nullptr, error.what()};
  }
  return {nullptr, "unknown transport"};
}

EagerBytes longest_eager(WireNumber number) {
  // A round number of bytes: what is left of it is more than the header takes.
  constexpr std::size_t kPayloadUnit = 1024;
  static_assert(transport::kMaxMessage % kPayloadUnit >= engine::kHeaderBytes &&
                transport::tcp::kLongestMessage % kPayloadUnit >= engine::kHeaderBytes);
  // A block in one message is quicker than an announcement, its answer and a put. Pieces of a block
  // and their sums are two messages each way, which then cost more than what goes through scratch
  // or mapped memory.
  constexpr std::size_t kPieceInSharedMemory = 2048;
  const bool tcp = number == WireNumber::tcp;
  const std::size_t block = (tcp ? transport::tcp::kLongestMessage : transport::kMaxMessage) /
                            kPayloadUnit * kPayloadUnit;
  return {block, number == WireNumber::shm ? kPieceInSharedMemory : block};
}

}  // namespace paceline
