// The 32 bits that travel with a notification: what it is and the little it has to say. In a work
// request and in a completion they stand in network order; to_wire and from_wire are the only
// places that know.
#pragma once

#include <arpa/inet.h>

#include <cstdint>

namespace paceline::transport::verbs {

struct Immediate {
  enum class Kind : std::uint8_t {
    put = 1,      ///< low: lane
    message = 2,  ///< high: slot, low: length
    credits = 3,  ///< high: slots that were freed, low: receives that were posted
    hello = 4,    ///< the first of all, which tries the path
  };
  Kind kind = Kind::hello;
  std::uint16_t high = 0;  ///< 12 bits
  std::uint16_t low = 0;
  bool operator==(const Immediate&) const = default;
};

/// 4 bits of kind, 12 of high, 16 of low.
constexpr std::uint32_t kMostHigh = 0xfff;
constexpr std::uint32_t kMostLow = 0xffff;

inline std::uint32_t to_wire(Immediate immediate) {
  return htonl(std::uint32_t{static_cast<std::uint8_t>(immediate.kind)} << 28 |
               (immediate.high & kMostHigh) << 16 | immediate.low);
}

inline Immediate from_wire(std::uint32_t wire) {
  const std::uint32_t bits = ntohl(wire);
  return {static_cast<Immediate::Kind>(bits >> 28),
          static_cast<std::uint16_t>(bits >> 16 & kMostHigh),
          static_cast<std::uint16_t>(bits & kMostLow)};
}

}  // namespace paceline::transport::verbs
