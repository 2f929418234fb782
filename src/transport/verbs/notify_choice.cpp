#include "transport_verbs/notify_choice.h"

#include <array>

namespace paceline::transport::verbs {
namespace {

constexpr std::uint32_t kAlibaba = 0x1ded;
constexpr std::uint32_t kAnyVendor = ~std::uint32_t{0};

/// What is known of providers. The first row that fits counts.
struct Knowledge {
  std::uint32_t vendor;
  ibv_transport_type transport;
  bool immediates;
};
constexpr std::array kKnowledge = {
    // erdma: iWARP by its transport, but its requests carry immediates.
    Knowledge{kAlibaba, IBV_TRANSPORT_IWARP, true},
    // iWARP has no immediates of its own (RFC 7306 adds them, few devices have it): siw, and irdma
    // in its iWARP mode, refuse such a request.
    Knowledge{kAnyVendor, IBV_TRANSPORT_IWARP, false},
    // InfiniBand and RoCE demand immediates of every reliable connected queue pair: mlx5, mlx4,
    // bnxt_re, hns, irdma, qedr, rxe, and erdma where it shows RoCE.
    Knowledge{kAnyVendor, IBV_TRANSPORT_IB, true},
};

bool knows_immediates(std::uint32_t vendor, ibv_transport_type transport) {
  for (const Knowledge& row : kKnowledge) {
    if (row.transport == transport && (row.vendor == kAnyVendor || row.vendor == vendor)) {
      return row.immediates;
    }
  }
  // Kinds of transport that nobody has told us of: a send works wherever anything does.
  return false;
}

}  // namespace

NotifyWays notify_ways(IbNotify asked, std::uint32_t vendor, ibv_transport_type transport) {
  switch (asked) {
    case IbNotify::immediate:
      return static_cast<NotifyWays>(Notify::write_with_immediate);
    case IbNotify::send:
      return static_cast<NotifyWays>(Notify::write_then_send);
    case IbNotify::automatic:
      break;
  }
  if (knows_immediates(vendor, transport)) {
    return Notify::write_with_immediate | Notify::write_then_send;
  }
  return static_cast<NotifyWays>(Notify::write_then_send);
}

std::optional<Notify> agree(NotifyWays ours, NotifyWays theirs) {
  const auto both = static_cast<NotifyWays>(ours & theirs);
  // One request for each put instead of two, so the better one where it can be had.
  for (const Notify way : {Notify::write_with_immediate, Notify::write_then_send}) {
    if (has(both, way)) return way;
  }
  return std::nullopt;
}

const char* to_string(Notify way) {
  switch (way) {
    case Notify::write_with_immediate:
      return "immediates";
    case Notify::write_then_send:
      return "sends";
  }
  return "?";
}

}  // namespace paceline::transport::verbs
