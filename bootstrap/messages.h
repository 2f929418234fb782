// What travels: a fixed-width header {magic, version, type, length}, then at most kMaxPayload
// bytes whose layout the type tells. Everything in network order, every length bounded.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/wire.h"
#include "bootstrap/addresses.h"
#include "bootstrap/bootstrap.h"

namespace paceline::bootstrap {

inline constexpr std::uint32_t kMagic = 0x50434c4e;  // "PCLN"
inline constexpr std::uint16_t kVersion = 1;
inline constexpr std::size_t kHeaderBytes = 12;

/// What one rank may give to an all_gather.
inline constexpr std::size_t kMaxBlock = 64 * 1024;
/// The longest payload: a block with its three numbers, rounded up.
inline constexpr std::size_t kMaxPayload = kMaxBlock + 64;
/// Before the peer has proved that it knows the secret it cannot make us hold more than this.
/// A hello with every text at its limit is about 1.2 KiB.
inline constexpr std::size_t kMaxStrangerPayload = 2048;

/// Limits of texts. Host names have 64 bytes on Linux, 255 in DNS.
inline constexpr std::size_t kMaxName = 256;
inline constexpr std::size_t kMaxNoticeText = 1000;
/// Failures of a rendezvous may list many ranks.
inline constexpr std::size_t kMaxText = 1500;

enum class FrameType : std::uint16_t {
  // handshake, either purpose
  hello = 1,
  challenge = 2,
  proof = 3,
  accepted = 4,
  refused = 5,  ///< the same layout in every version
  // rendezvous, from rank 0
  waiting = 6,
  failed = 7,
  table = 8,
  // control links
  block = 9,
  heartbeat = 10,
  notice = 11,
  goodbye = 12,
  // to everybody, over the control links: group_messages.h
  inquiry = 13,
  answer = 14,
  gone = 15,
  decision = 16,
  note = 17,
};

struct Header {
  std::uint32_t magic = 0;
  std::uint16_t version = 0;
  FrameType type = FrameType::hello;
  std::uint32_t length = 0;
};

Bytes encode_frame(FrameType type, ConstBytes payload);
/// `bytes` are kHeaderBytes.
Header decode_header(ConstBytes bytes);

/// Drawn by rank 0, tells one communicator's sockets from all others'.
using Session = std::array<std::byte, 16>;

/// Why a dialer comes.
enum class Purpose : std::uint8_t { rendezvous = 1, control = 2, link = 3 };

struct Hello {
  Purpose purpose = Purpose::rendezvous;
  std::string name;   ///< the communicator
  Session session{};  ///< zero in a rendezvous: rank 0 tells it
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  std::uint32_t size = 0;
  Bytes body;  ///< MemberRecord (rendezvous), LinkHello (link), or not empty for the ring (control)

  [[nodiscard]] Bytes encode() const;
  static std::optional<Hello> decode(ConstBytes bytes);
};

/// A dialer's line of a link of several sockets.
struct LinkHello {
  std::uint64_t id = 0;  ///< the dialer's number for the link
  std::uint8_t transport = 0;
  std::uint16_t index = 0;
  std::uint16_t count = 1;
  /// A knock: not a socket of a link, but the lower rank's wish that the higher one dial it, with
  /// `count` sockets of the family `local` says.
  bool knock = false;
  bool local = false;

  [[nodiscard]] Bytes encode() const;
  static std::optional<LinkHello> decode(ConstBytes bytes);
};

enum class RefusalCode : std::uint8_t {
  wrong_version = 1,
  wrong_secret = 2,
  no_such_communicator = 3,
  malformed = 4,
};

struct Refusal {
  RefusalCode code = RefusalCode::malformed;
  std::string text;

  [[nodiscard]] Bytes encode() const;
  static std::optional<Refusal> decode(ConstBytes bytes);
};

/// How the others know a rank: to reach it, and to name it when it fails.
struct MemberRecord {
  std::uint32_t rank = 0;
  std::uint64_t pid = 0;
  std::string host;
  std::string network;                   ///< default_host_id(): who shares loopback with whom
  std::vector<SocketAddress> addresses;  ///< where it listens, at most 2
  std::string local_name;                ///< its abstract socket

  [[nodiscard]] Bytes encode() const;
  void encode(WireWriter& out) const;
  static std::optional<MemberRecord> decode(WireReader& in);

  /// "rank 3 (host node7, pid 4711)"
  [[nodiscard]] std::string who() const;
  /// The address to dial from a process of network `network`; empty if there is none.
  [[nodiscard]] SocketAddress address_for(const std::string& from_network) const;
};

/// From rank 0 to each rank: whom it will talk to.
struct Table {
  std::vector<MemberRecord> neighbours;
  [[nodiscard]] Bytes encode() const;
  static std::optional<Table> decode(ConstBytes bytes);
};

/// The rendezvous has failed.
struct RendezvousFailure {
  ErrorCode code = ErrorCode::bootstrap_failed;
  std::int32_t culprit = Error::kNoRank;
  std::string text;

  [[nodiscard]] Bytes encode() const;
  static std::optional<RendezvousFailure> decode(ConstBytes bytes);
};

/// One rank's contribution on its way through an all_gather. A frame has one or more of them, one
/// after the other: as many of a round as fit.
struct Block {
  std::uint32_t sequence = 0;  ///< the how-manieth all_gather
  std::uint32_t round = 0;
  std::uint32_t owner = 0;
  ConstBytes bytes;  ///< borrowed from the frame

  [[nodiscard]] Bytes encode() const;
  /// Takes one off the front.
  static std::optional<Block> decode(WireReader& in);
};

Bytes encode_notice(const FailureNotice& notice);
std::optional<FailureNotice> decode_notice(ConstBytes bytes);

/// `text`, cut to `limit` bytes, not inside a UTF-8 character.
std::string shortened(std::string text, std::size_t limit);

}  // namespace paceline::bootstrap
