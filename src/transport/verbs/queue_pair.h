// Making a reliable connected queue pair and taking it through its states, one function each.
#pragma once

#include <cstdint>

#include "transport_verbs/device.h"
#include "transport_verbs/ibv_handles.h"
#include "transport_verbs/qp_info.h"
#include "transport_verbs/verbs_transport.h"

namespace paceline::transport::verbs {

struct QueuePairShape {
  std::uint32_t send_depth = 0;
  std::uint32_t receive_depth = 0;
  std::uint32_t inline_bytes = 0;  ///< asked for; then what was got
};

/// In RESET. Devices do not say how much they can take inline, so it is found by trial: from what
/// is asked for downwards. `shape` is what was got. Throws Error.
QueuePairHandle create_queue_pair(const Device& device, ibv_cq* completions, QueuePairShape& shape);

/// RESET → INIT: the peer may write and read where we registered; receives may be posted.
void to_init(const Device& device, ibv_qp* pair);

/// INIT → RTR: packets of `peer` are taken from now on. `gid` is our own entry.
void to_rtr(const Device& device, ibv_qp* pair, const QpInfo& peer, const GidEntry& gid,
            const VerbsOptions& options);

/// INIT → RTR or RTR → RTS as the connection manager says in `attributes` and `mask`, but for what
/// is ours to say: the MTU that both ports can do, time-outs, the traffic's class.
void to_state_of_manager(const Device& device, ibv_qp* pair, ibv_qp_attr& attributes, int mask,
                         const QpInfo& peer, const VerbsOptions& options);

/// RTR → RTS: we may send.
void to_rts(const Device& device, ibv_qp* pair, std::uint32_t packet_number,
            const VerbsOptions& options);

/// Any state → ERR: nothing is sent or taken any more. Never throws.
void to_error(const Device& device, ibv_qp* pair) noexcept;

}  // namespace paceline::transport::verbs
