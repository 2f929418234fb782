// What travels on a TCP link: a hello in each direction, then frames. A frame is a header of 32
// bytes in network order and `length` bytes of payload.
//
//   offset  size  field      put                 message      credit       refuse
//        0     1  magic      0xB5                0xB5         0xB5         0xB5
//        1     1  type       1                   2            3            4
//        2     1  lane       0..9                0            0            the put's
//        3     1  pieces     1..255              0            0            0
//        4     4  length     of this piece       1..131136     0            0
//        8     8  sequence   of put on its lane  of message   total popped the put's
//       16     8  address    of this piece       0            0            the put's
//       24     8  key        target's            0            0            the put's
//
// A put of nothing is a signal: length, address and key are 0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/wire.h"
#include "transport/transport.h"

namespace paceline::transport::tcp {

/// Raised whenever a frame or its meaning changes; ends of different versions do not link.
inline constexpr std::uint16_t kVersion = 2;

enum class FrameType : std::uint8_t {
  put = 1,      ///< a put or one piece of it
  message = 2,  ///< for the mailbox
  credit = 3,   ///< the mailbox has been emptied that far
  refuse = 4,   ///< a put was aimed at memory that is not registered; the link ends
};

struct Frame {
  FrameType type = FrameType::put;
  std::uint8_t lane = 0;
  std::uint8_t pieces = 0;
  std::uint32_t length = 0;
  std::uint64_t sequence = 0;
  std::uint64_t address = 0;
  std::uint64_t key = 0;
};

/// Two frames to a cache line; every field naturally aligned.
inline constexpr std::size_t kFrameBytes = 32;
using FrameImage = std::array<std::byte, kFrameBytes>;

/// Longest message: a payload of 128 KiB and its header. An all_reduce of that much between two
/// ranks takes two thirds of the time that it takes with an announcement first; of twice as much,
/// the same time.
inline constexpr std::size_t kLongestMessage = 128 * 1024 + 64;
/// Longest piece. Keeps `length` far from overflow, and more than one turn of progress can move.
inline constexpr std::size_t kMaxPiece = std::size_t{1} << 30;
/// So many pieces fit in the header's byte.
inline constexpr std::size_t kMaxPieces = 255;

FrameImage encode(const Frame& frame);

/// Reads a header and checks all that can be checked without knowing the endpoint. Throws Error
/// (transport_failed), without a peer, for a header that this version never writes.
Frame decode(std::span<const std::byte, kFrameBytes> image);

/// Sent once on each link before anything else: magic, version, number of links, index of this one.
inline constexpr std::size_t kHelloBytes = 8;
struct Hello {
  std::uint16_t version = kVersion;
  std::uint8_t links = 0;
  std::uint8_t index = 0;
};
Bytes encode(const Hello& hello);
/// Throws Error (transport_failed), without a peer, if it is no hello at all.
Hello decode_hello(ConstBytes image);

}  // namespace paceline::transport::tcp
