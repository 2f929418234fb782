#include "transport_verbs/queue_pair.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "paceline/error.h"
#include "transport_verbs/completion_text.h"

namespace paceline::transport::verbs {
namespace {

/// 1 would break routed RoCE; this is what IP stacks start with.
constexpr std::uint8_t kHopLimit = 64;
/// 0.64 ms: how long the peer is asked to wait if it found no receive.
constexpr std::uint8_t kMinRnrTimer = 12;
/// Sizes that known devices can take inline: mlx5 and rxe, then irdma, erdma, siw, then any.
constexpr std::array<std::uint32_t, 5> kInlineTrials = {256, 96, 64, 32, 0};

void modify(const Device& device, ibv_qp* pair, ibv_qp_attr& attributes, int mask,
            const char* state) {
  // A positive errno, not -1.
  const int error = device.api().modify_qp(pair, &attributes, mask);
  if (error != 0) {
    throw Error(ErrorCode::transport_failed, "RDMA device " + device.label() +
                                                 " did not take a queue pair to " + state + ": " +
                                                 errno_text(error));
  }
}

}  // namespace

QueuePairHandle create_queue_pair(const Device& device, ibv_cq* completions,
                                  QueuePairShape& shape) {
  int error = 0;
  for (std::uint32_t trial : kInlineTrials) {
    ibv_qp_init_attr attributes{};
    attributes.send_cq = completions;
    attributes.recv_cq = completions;
    attributes.qp_type = IBV_QPT_RC;
    attributes.cap.max_send_wr = shape.send_depth;
    attributes.cap.max_recv_wr = shape.receive_depth;
    attributes.cap.max_send_sge = 1;
    attributes.cap.max_recv_sge = 1;
    attributes.cap.max_inline_data = std::min(trial, shape.inline_bytes);
    QueuePairHandle pair(device.api().create_qp(device.domain(), &attributes), {&device.api()});
    if (pair) {
      shape.inline_bytes = std::min(attributes.cap.max_inline_data, shape.inline_bytes);
      return pair;
    }
    error = errno;
  }
  throw Error(error == ENOMEM ? ErrorCode::out_of_memory : ErrorCode::transport_failed,
              "RDMA device " + device.label() + " did not create a queue pair with " +
                  std::to_string(shape.send_depth) + " sends and " +
                  std::to_string(shape.receive_depth) + " receives: " + errno_text(error));
}

void to_init(const Device& device, ibv_qp* pair) {
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_INIT;
  attributes.port_num = device.port().number;
  attributes.pkey_index = 0;
  attributes.qp_access_flags =
      IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
  modify(device, pair, attributes,
         IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS, "INIT");
}

void to_rtr(const Device& device, ibv_qp* pair, const QpInfo& peer, const GidEntry& gid,
            const VerbsOptions& options) {
  const Port& port = device.port();
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_RTR;
  // What both ports can do, per link: a larger packet would vanish at the smaller one.
  attributes.path_mtu = static_cast<ibv_mtu>(std::min(port.mtu, peer.mtu));
  attributes.dest_qp_num = peer.qp_number;
  attributes.rq_psn = peer.packet_number;
  attributes.max_dest_rd_atomic = 1;  // no reads are used
  attributes.min_rnr_timer = kMinRnrTimer;
  attributes.ah_attr.port_num = port.number;
  attributes.ah_attr.sl = options.service_level;
  attributes.ah_attr.dlid = peer.lid;
  // Inside an InfiniBand subnet the LID is enough; between subnets (the upper half of the GID),
  // and always on Ethernet, the GID is what is routed by.
  const bool same_subnet = std::equal(peer.gid.begin(), peer.gid.begin() + 8, gid.gid.begin());
  if (port.kind != LinkKind::infiniband || !same_subnet) {
    attributes.ah_attr.is_global = 1;
    attributes.ah_attr.grh.sgid_index = static_cast<std::uint8_t>(gid.index);
    attributes.ah_attr.grh.hop_limit = kHopLimit;
    attributes.ah_attr.grh.traffic_class = options.traffic_class;
    std::memcpy(attributes.ah_attr.grh.dgid.raw, peer.gid.data(), peer.gid.size());
  }
  modify(device, pair, attributes,
         IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
             IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
         "RTR");
}

void to_state_of_manager(const Device& device, ibv_qp* pair, ibv_qp_attr& attributes, int mask,
                         const QpInfo& peer, const VerbsOptions& options) {
  if (attributes.qp_state == IBV_QPS_RTR) {
    attributes.path_mtu = static_cast<ibv_mtu>(std::min(device.port().mtu, peer.mtu));
    attributes.min_rnr_timer = kMinRnrTimer;
    attributes.ah_attr.sl = options.service_level;
    attributes.ah_attr.grh.traffic_class = options.traffic_class;
    modify(device, pair, attributes, mask, "RTR");
    return;
  }
  attributes.timeout = options.timeout;
  attributes.retry_cnt = options.retry_count;
  attributes.rnr_retry = options.rnr_retry;
  modify(device, pair, attributes, mask, "RTS");
}

void to_rts(const Device& device, ibv_qp* pair, std::uint32_t packet_number,
            const VerbsOptions& options) {
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_RTS;
  attributes.sq_psn = packet_number;
  attributes.timeout = options.timeout;
  attributes.retry_cnt = options.retry_count;
  attributes.rnr_retry = options.rnr_retry;
  attributes.max_rd_atomic = 1;
  modify(device, pair, attributes,
         IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
             IBV_QP_MAX_QP_RD_ATOMIC,
         "RTS");
}

void to_error(const Device& device, ibv_qp* pair) noexcept {
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_ERR;
  // A device that refuses is made to stop by the destruction that follows.
  (void)device.api().modify_qp(pair, &attributes, IBV_QP_STATE);
}

}  // namespace paceline::transport::verbs
