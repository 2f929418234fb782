// What travels before a link can be made: a description of the port over the bootstrap, then a
// description of the queue pair over the link's own socket.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/wire.h"
#include "paceline/types.h"
#include "transport_verbs/gid.h"
#include "transport_verbs/notify_choice.h"

namespace paceline::transport::verbs {

/// Says to a rank that listens for its peer who calls.
using Cookie = std::array<std::uint8_t, 16>;

/// The port, for Transport::describe(). A rank without a device says so.
struct PortInfo {
  bool usable = false;
  LinkKind kind = LinkKind::infiniband;
  IbConnect connect = IbConnect::exchange;  ///< which of the two ways; never automatic
  std::uint16_t lid = 0;
  Gid gid = {};
  std::string label = {};  ///< "mlx5_0 port 1"

  [[nodiscard]] Bytes pack() const;
  /// Empty, and `why_not` filled, if it is not one that this version understands.
  static std::optional<PortInfo> unpack(ConstBytes bytes, std::string& why_not);
};

/// Where the peer finds our queue pair and what it may send.
struct QpInfo {
  LinkKind kind = LinkKind::infiniband;
  std::uint8_t mtu = 1;  ///< ibv_mtu that the port has
  std::uint16_t lid = 0;
  Gid gid = {};
  std::uint32_t qp_number = 0;
  std::uint32_t packet_number = 0;    ///< the first that we shall send, 24 bits
  std::uint64_t mailbox_address = 0;  ///< ring of message slots
  std::uint32_t mailbox_key = 0;
  std::uint32_t message_slots = 0;
  std::uint32_t receives = 0;  ///< notifications that we can take before the first credit
  NotifyWays notify_ways = 0;  ///< that we can take and use
  IbConnect connect = IbConnect::exchange;
  // Through the connection manager: where the one who listens is called, and what to say there.
  Gid cm_address = {};
  std::uint16_t cm_port = 0;
  Cookie cm_cookie = {};

  /// The length is fixed: kPackedSize.
  [[nodiscard]] Bytes pack() const;
  /// Throws Error (transport_failed, `peer`) for bytes that are not a QpInfo of this version.
  static QpInfo unpack(ConstBytes bytes, int peer);
  static constexpr std::size_t kPackedSize = 96;
};

}  // namespace paceline::transport::verbs
