#include "transport_verbs/qp_info.h"

#include <algorithm>

#include "paceline/error.h"

namespace paceline::transport::verbs {
namespace {

// "PLvp" and "PLvq": a socket or a buffer that holds something else is noticed at once.
constexpr std::uint32_t kPortMagic = 0x504C7670;
constexpr std::uint32_t kQpMagic = 0x504C7671;
// Raised with every change of what travels or of what a notification says.
constexpr std::uint16_t kVersion = 3;
// Device names are at most 64 characters (IBV_SYSFS_NAME_MAX).
constexpr std::size_t kMaxLabel = 96;

template <class Array>
Array read_array(WireReader& reader) {
  Array array{};
  const ConstBytes raw = reader.raw(array.size());
  std::transform(raw.begin(), raw.end(), array.begin(),
                 [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
  return array;
}

bool is_way(IbConnect connect) {
  return connect == IbConnect::exchange || connect == IbConnect::cm;
}

}  // namespace

Bytes PortInfo::pack() const {
  WireWriter writer;
  writer.u32(kPortMagic).u16(kVersion).u8(usable ? 1 : 0).u8(static_cast<std::uint8_t>(kind));
  writer.u8(static_cast<std::uint8_t>(connect));
  writer.u16(lid).raw(std::as_bytes(std::span(gid))).text(label.substr(0, kMaxLabel));
  return writer.take();
}

std::optional<PortInfo> PortInfo::unpack(ConstBytes bytes, std::string& why_not) {
  WireReader reader(bytes);
  const std::uint32_t magic = reader.u32();
  const std::uint16_t version = reader.u16();
  if (!reader.ok() || magic != kPortMagic) {
    why_not = "the peer's description of its RDMA device is not one";
    return std::nullopt;
  }
  if (version != kVersion) {
    why_not = "the peer's RDMA wire has version " + std::to_string(version) + " and ours " +
              std::to_string(kVersion);
    return std::nullopt;
  }
  PortInfo info;
  info.usable = reader.u8() != 0;
  info.kind = static_cast<LinkKind>(reader.u8());
  info.connect = static_cast<IbConnect>(reader.u8());
  info.lid = reader.u16();
  info.gid = read_array<Gid>(reader);
  info.label = reader.text(kMaxLabel);
  if (!reader.finished() || !is_valid(info.kind) || !is_way(info.connect)) {
    why_not = "the peer's description of its RDMA device is damaged";
    return std::nullopt;
  }
  return info;
}

Bytes QpInfo::pack() const {
  WireWriter writer;
  writer.u32(kQpMagic).u16(kVersion).u8(static_cast<std::uint8_t>(kind)).u8(mtu);
  writer.u16(lid).raw(std::as_bytes(std::span(gid)));
  writer.u32(qp_number).u32(packet_number);
  writer.u64(mailbox_address).u32(mailbox_key).u32(message_slots).u32(receives).u8(notify_ways);
  writer.u8(static_cast<std::uint8_t>(connect)).raw(std::as_bytes(std::span(cm_address)));
  writer.u16(cm_port).raw(std::as_bytes(std::span(cm_cookie)));
  Bytes bytes = writer.take();
  bytes.resize(kPackedSize);  // the rest is for what later versions add
  return bytes;
}

QpInfo QpInfo::unpack(ConstBytes bytes, int peer) {
  const auto refuse = [&](const std::string& text) {
    throw Error(ErrorCode::transport_failed, text, {.peer = peer});
  };
  WireReader reader(bytes);
  const std::uint32_t magic = reader.u32();
  const std::uint16_t version = reader.u16();
  const std::string who = "rank " + std::to_string(peer);
  if (magic != kQpMagic) refuse(who + " sent something else than its queue pair");
  if (version != kVersion) {
    refuse(who + " speaks version " + std::to_string(version) + " of the RDMA wire and we speak " +
           std::to_string(kVersion) + ": all ranks must run the same version of Paceline");
  }
  QpInfo info;
  info.kind = static_cast<LinkKind>(reader.u8());
  info.mtu = reader.u8();
  info.lid = reader.u16();
  info.gid = read_array<Gid>(reader);
  info.qp_number = reader.u32();
  info.packet_number = reader.u32();
  info.mailbox_address = reader.u64();
  info.mailbox_key = reader.u32();
  info.message_slots = reader.u32();
  info.receives = reader.u32();
  info.notify_ways = reader.u8();
  info.connect = static_cast<IbConnect>(reader.u8());
  info.cm_address = read_array<Gid>(reader);
  info.cm_port = reader.u16();
  info.cm_cookie = read_array<Cookie>(reader);
  if (!reader.ok() || !is_valid(info.kind) || info.mtu < 1 || info.mtu > 5 ||
      info.message_slots == 0 || info.message_slots > 4096 || info.receives == 0 ||
      !is_way(info.connect) || info.notify_ways == 0 ||
      info.notify_ways > (Notify::write_with_immediate | Notify::write_then_send)) {
    refuse(who + " sent a damaged description of its queue pair");
  }
  return info;
}

}  // namespace paceline::transport::verbs
