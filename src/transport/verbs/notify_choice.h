// Which way of notifying a link takes. Each end says what it can do, by what was asked for and by
// what is known of its device; the link takes the best that both can do. There is no capability bit
// for immediates, so they are taken on trial: the first packet of the link is one, and if it does
// not get through both ends begin again with the other way (connector.h).
#pragma once

#include <infiniband/verbs.h>

#include <cstdint>
#include <optional>

#include "paceline/types.h"
#include "transport_verbs/notify.h"

namespace paceline::transport::verbs {

/// A set of Notify values, as it travels.
using NotifyWays = std::uint8_t;

constexpr NotifyWays operator|(Notify a, Notify b) {
  return static_cast<NotifyWays>(static_cast<NotifyWays>(a) | static_cast<NotifyWays>(b));
}
constexpr bool has(NotifyWays ways, Notify way) {
  return (ways & static_cast<NotifyWays>(way)) != 0;
}

/// What one end can do. `vendor` and `transport` are those of its device.
NotifyWays notify_ways(IbNotify asked, std::uint32_t vendor, ibv_transport_type transport);

/// The way that a link between two ends takes; empty if there is none.
std::optional<Notify> agree(NotifyWays ours, NotifyWays theirs);

/// "immediates", "sends".
const char* to_string(Notify way);

}  // namespace paceline::transport::verbs
