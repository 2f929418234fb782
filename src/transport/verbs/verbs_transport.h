// The wire over RDMA: reliable connected queue pairs on InfiniBand, RoCE and iWARP. See
// docs/design/transport.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "paceline/types.h"
#include "transport/transport.h"

namespace paceline::transport {

namespace verbs {
class CmApi;
class VerbsApi;
}  // namespace verbs

/// What can be set. The defaults are for real hardware; devices with lower limits lower them.
struct VerbsOptions {
  /// "mlx5_0", or "mlx5_0:2" for its second port; empty: the first port that works.
  std::string device = {};
  /// Index into the GID table of a RoCE port; unset: chosen, see verbs/gid.h.
  std::optional<int> gid_index = {};
  /// How the link tells that something was put; see verbs/notify.h.
  IbNotify notify = IbNotify::automatic;
  /// How queue pairs are connected; see verbs/cm_link.h.
  IbConnect connect = IbConnect::automatic;

  /// Requests that may be under way to one peer. 256 of 8 KiB keep 2 MiB under way, several times
  /// what 400 Gb/s over 10 us holds.
  std::uint32_t send_depth = 256;
  /// Puts, signals and messages of one peer that we may not have looked at yet; 16..8191.
  std::uint32_t receive_depth = 512;
  /// Messages of one peer that have not been popped; 16..4096. Each costs 4 KiB on both ends.
  std::uint32_t message_slots = 64;
  /// Puts up to this size are asked to travel inside the request: the device need not fetch them.
  /// More makes every request of the queue larger.
  std::uint32_t inline_bytes = 256;
  /// 4.096 us * 2^18 = 1 s for an acknowledgement, seven times: a link that loses its switch for
  /// a moment survives, a dead one is found in under 10 s.
  std::uint8_t timeout = 18;
  /// 7 would mean "for ever" to some software devices.
  std::uint8_t retry_count = 6;
  /// The peer always has receives posted (credits), so a device that finds none found a defect of
  /// ours. 6 rides over it a few times; tests set 0.
  std::uint8_t rnr_retry = 6;
  /// DSCP << 2, for fabrics that sort RoCE by it.
  std::uint8_t traffic_class = 0;
  std::uint8_t service_level = 0;
  /// Where the choice of device and GID is told.
  Logger log = {};
};

/// Whether this machine can use the wire, and if not, why not: "no RDMA device here:
/// libibverbs.so.1 not found". `api` is the process's libibverbs, and `cm` its librdmacm, unless a
/// test gives others.
Reachable verbs_available(const VerbsOptions& options,
                          std::shared_ptr<const verbs::VerbsApi> api = nullptr,
                          std::shared_ptr<const verbs::CmApi> cm = nullptr);

/// Without a usable device the transport is there all the same: nobody is reachable by it, and
/// its description tells the peers. Throws invalid_configuration where a device or GID index was
/// asked for by name and cannot be had.
std::unique_ptr<Transport> make_verbs_transport(
    const VerbsOptions& options, std::shared_ptr<const verbs::VerbsApi> api = nullptr,
    std::shared_ptr<const verbs::CmApi> cm = nullptr);

}  // namespace paceline::transport
