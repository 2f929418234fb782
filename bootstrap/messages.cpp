#include "bootstrap/messages.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace paceline::bootstrap {

namespace {

/// Addresses one rank may listen on: loopback and one that other hosts reach.
constexpr std::uint8_t kMaxAddresses = 2;
/// Neighbours of a rank: at most two per round, and no more than 31 rounds.
constexpr std::uint32_t kMaxNeighbours = 64;

std::uint32_t signed_to_wire(int value) {
  return static_cast<std::uint32_t>(value);
}
int signed_from_wire(std::uint32_t value) {
  return static_cast<int>(value);
}

bool is_error_code(std::uint8_t code) {
  return code >= static_cast<std::uint8_t>(ErrorCode::invalid_argument) &&
         code <= static_cast<std::uint8_t>(ErrorCode::internal);
}

template <class T>
std::optional<T> if_finished(const WireReader& in, T value) {
  return in.finished() ? std::optional<T>(std::move(value)) : std::nullopt;
}

}  // namespace

Bytes encode_frame(FrameType type, ConstBytes payload) {
  WireWriter out;
  out.u32(kMagic).u16(kVersion).u16(static_cast<std::uint16_t>(type));
  out.u32(static_cast<std::uint32_t>(payload.size())).raw(payload);
  return out.take();
}

Header decode_header(ConstBytes bytes) {
  WireReader in(bytes);
  Header h;
  h.magic = in.u32();
  h.version = in.u16();
  h.type = static_cast<FrameType>(in.u16());
  h.length = in.u32();
  return h;
}

Bytes Hello::encode() const {
  WireWriter out;
  out.u8(static_cast<std::uint8_t>(purpose)).text(name).raw(session);
  out.u32(from).u32(to).u32(size).blob(body);
  return out.take();
}

std::optional<Hello> Hello::decode(ConstBytes bytes) {
  WireReader in(bytes);
  Hello h;
  const std::uint8_t purpose = in.u8();
  if (purpose < 1 || purpose > static_cast<std::uint8_t>(Purpose::link)) return std::nullopt;
  h.purpose = static_cast<Purpose>(purpose);
  h.name = in.text(kMaxName);
  const ConstBytes session = in.raw(h.session.size());
  std::copy(session.begin(), session.end(), h.session.begin());
  h.from = in.u32();
  h.to = in.u32();
  h.size = in.u32();
  const ConstBytes body = in.blob(kMaxStrangerPayload);
  h.body.assign(body.begin(), body.end());
  return if_finished(in, std::move(h));
}

Bytes LinkHello::encode() const {
  return WireWriter()
      .u64(id)
      .u8(transport)
      .u16(index)
      .u16(count)
      .u8(static_cast<std::uint8_t>((knock ? 1 : 0) | (local ? 2 : 0)))
      .take();
}

std::optional<LinkHello> LinkHello::decode(ConstBytes bytes) {
  WireReader in(bytes);
  LinkHello h;
  h.id = in.u64();
  h.transport = in.u8();
  h.index = in.u16();
  h.count = in.u16();
  const std::uint8_t flags = in.u8();
  h.knock = (flags & 1) != 0;
  h.local = (flags & 2) != 0;
  if (h.index >= h.count || flags > 3) return std::nullopt;
  return if_finished(in, h);
}

Bytes Refusal::encode() const {
  return WireWriter().u8(static_cast<std::uint8_t>(code)).text(shortened(text, kMaxText)).take();
}

std::optional<Refusal> Refusal::decode(ConstBytes bytes) {
  WireReader in(bytes);
  Refusal r;
  const std::uint8_t code = in.u8();
  if (code < 1 || code > static_cast<std::uint8_t>(RefusalCode::malformed)) return std::nullopt;
  r.code = static_cast<RefusalCode>(code);
  r.text = in.text(kMaxText);
  return if_finished(in, std::move(r));
}

void MemberRecord::encode(WireWriter& out) const {
  out.u32(rank).u64(pid).text(shortened(host, kMaxName)).text(shortened(network, kMaxName));
  out.u8(static_cast<std::uint8_t>(addresses.size()));
  for (const SocketAddress& address : addresses) address.encode(out);
  out.text(local_name);
}

Bytes MemberRecord::encode() const {
  WireWriter out;
  encode(out);
  return out.take();
}

std::optional<MemberRecord> MemberRecord::decode(WireReader& in) {
  MemberRecord r;
  r.rank = in.u32();
  r.pid = in.u64();
  r.host = in.text(kMaxName);
  r.network = in.text(kMaxName);
  const std::uint8_t count = in.u8();
  if (count > kMaxAddresses) return std::nullopt;
  for (int i = 0; i < count; ++i) {
    r.addresses.push_back(SocketAddress::decode(in));
    if (r.addresses.back().empty()) return std::nullopt;
  }
  r.local_name = in.text(kMaxName);
  return in.ok() ? std::optional(std::move(r)) : std::nullopt;
}

std::string MemberRecord::who() const {
  return "rank " + std::to_string(rank) + " (host " + host + ", pid " + std::to_string(pid) + ")";
}

SocketAddress MemberRecord::address_for(const std::string& from_network) const {
  const bool near = network == from_network;
  for (const SocketAddress& address : addresses) {
    if (address.loopback() == near) return address;
  }
  return addresses.empty() ? SocketAddress() : addresses.front();
}

Bytes Table::encode() const {
  WireWriter out;
  out.u32(static_cast<std::uint32_t>(neighbours.size()));
  for (const MemberRecord& r : neighbours) r.encode(out);
  return out.take();
}

std::optional<Table> Table::decode(ConstBytes bytes) {
  WireReader in(bytes);
  Table table;
  const std::uint32_t count = in.u32();
  if (count > kMaxNeighbours) return std::nullopt;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::optional<MemberRecord> record = MemberRecord::decode(in);
    if (!record) return std::nullopt;
    table.neighbours.push_back(*std::move(record));
  }
  return if_finished(in, std::move(table));
}

Bytes RendezvousFailure::encode() const {
  return WireWriter()
      .u8(static_cast<std::uint8_t>(code))
      .u32(signed_to_wire(culprit))
      .text(shortened(text, kMaxText))
      .take();
}

std::optional<RendezvousFailure> RendezvousFailure::decode(ConstBytes bytes) {
  WireReader in(bytes);
  RendezvousFailure f;
  const std::uint8_t code = in.u8();
  if (!is_error_code(code)) return std::nullopt;
  f.code = static_cast<ErrorCode>(code);
  f.culprit = signed_from_wire(in.u32());
  f.text = in.text(kMaxText);
  return if_finished(in, std::move(f));
}

Bytes Block::encode() const {
  return WireWriter().u32(sequence).u32(round).u32(owner).blob(bytes).take();
}

std::optional<Block> Block::decode(WireReader& in) {
  Block b;
  b.sequence = in.u32();
  b.round = in.u32();
  b.owner = in.u32();
  b.bytes = in.blob(kMaxBlock);
  return in.ok() ? std::optional(b) : std::nullopt;
}

Bytes encode_notice(const FailureNotice& notice) {
  WireWriter out;
  out.u8(static_cast<std::uint8_t>(notice.code)).u32(signed_to_wire(notice.origin));
  out.u32(signed_to_wire(notice.culprit)).u64(notice.sequence);
  out.text(shortened(notice.text, kMaxNoticeText));
  return out.take();
}

std::optional<FailureNotice> decode_notice(ConstBytes bytes) {
  WireReader in(bytes);
  FailureNotice n;
  const std::uint8_t code = in.u8();
  if (!is_error_code(code)) return std::nullopt;
  n.code = static_cast<ErrorCode>(code);
  n.origin = signed_from_wire(in.u32());
  n.culprit = signed_from_wire(in.u32());
  n.sequence = in.u64();
  n.text = in.text(kMaxNoticeText);
  return if_finished(in, std::move(n));
}

std::string shortened(std::string text, std::size_t limit) {
  if (text.size() <= limit) return text;
  std::size_t end = limit;
  const auto continues = [&](std::size_t i) {
    return (static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U;
  };
  while (end > 0 && continues(end)) --end;
  text.resize(end);
  return text;
}

}  // namespace paceline::bootstrap
