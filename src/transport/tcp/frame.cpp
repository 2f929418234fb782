#include "transport_tcp/frame.h"

#include <endian.h>

#include <cstring>
#include <string>

#include "paceline/error.h"

namespace paceline::transport::tcp {
namespace {

/// First byte of every frame: a stream that lost its place shows at the next header.
constexpr std::byte kMagic{0xB5};
/// "PLTC": what connects to the wrong port says something else.
constexpr std::uint32_t kHelloMagic = 0x504C5443;

void store32(std::byte* to, std::uint32_t value) {
  value = htobe32(value);
  std::memcpy(to, &value, sizeof value);
}
void store64(std::byte* to, std::uint64_t value) {
  value = htobe64(value);
  std::memcpy(to, &value, sizeof value);
}
std::uint32_t load32(const std::byte* from) {
  std::uint32_t value = 0;
  std::memcpy(&value, from, sizeof value);
  return be32toh(value);
}
std::uint64_t load64(const std::byte* from) {
  std::uint64_t value = 0;
  std::memcpy(&value, from, sizeof value);
  return be64toh(value);
}

[[noreturn]] void reject(const std::string& what) {
  throw Error(ErrorCode::transport_failed, "a frame that no rank writes: " + what);
}

void check_put(const Frame& f) {
  if (f.pieces == 0) reject("a put in 0 pieces");
  if (f.length > kMaxPiece) {
    reject("a piece of " + std::to_string(f.length) + " bytes; at most " +
           std::to_string(kMaxPiece) + " are allowed");
  }
  if (f.length == 0 && (f.pieces != 1 || f.address != 0 || f.key != kNoKey)) {
    reject("a signal with a target");
  }
}

void check_message(const Frame& f) {
  if (f.length == 0 || f.length > kLongestMessage) {
    reject("a message of " + std::to_string(f.length) + " bytes; 1 to " +
           std::to_string(kLongestMessage) + " are allowed");
  }
  if (f.lane != 0 || f.pieces != 0 || f.address != 0 || f.key != 0)
    reject("a message's spare field");
}

void check_credit(const Frame& f) {
  if (f.length != 0 || f.lane != 0 || f.pieces != 0 || f.address != 0 || f.key != 0) {
    reject("a credit's spare field");
  }
}

void check_refuse(const Frame& f) {
  if (f.length != 0 || f.pieces != 0) reject("a refusal's spare field");
}

}  // namespace

FrameImage encode(const Frame& frame) {
  FrameImage image;
  image[0] = kMagic;
  image[1] = static_cast<std::byte>(frame.type);
  image[2] = static_cast<std::byte>(frame.lane);
  image[3] = static_cast<std::byte>(frame.pieces);
  store32(&image[4], frame.length);
  store64(&image[8], frame.sequence);
  store64(&image[16], frame.address);
  store64(&image[24], frame.key);
  return image;
}

Frame decode(std::span<const std::byte, kFrameBytes> image) {
  if (image[0] != kMagic) reject("its first byte is not the magic one");
  const auto type = std::to_integer<std::uint8_t>(image[1]);
  if (type < static_cast<std::uint8_t>(FrameType::put) ||
      type > static_cast<std::uint8_t>(FrameType::refuse)) {
    reject("type " + std::to_string(type));
  }
  const Frame frame{.type = static_cast<FrameType>(type),
                    .lane = std::to_integer<std::uint8_t>(image[2]),
                    .pieces = std::to_integer<std::uint8_t>(image[3]),
                    .length = load32(&image[4]),
                    .sequence = load64(&image[8]),
                    .address = load64(&image[16]),
                    .key = load64(&image[24])};
  if (frame.lane >= kMaxLanes) reject("lane " + std::to_string(frame.lane));
  switch (frame.type) {
    case FrameType::put:
      check_put(frame);
      break;
    case FrameType::message:
      check_message(frame);
      break;
    case FrameType::credit:
      check_credit(frame);
      break;
    case FrameType::refuse:
      check_refuse(frame);
      break;
  }
  return frame;
}

Bytes encode(const Hello& hello) {
  WireWriter out;
  out.u32(kHelloMagic).u16(hello.version).u8(hello.links).u8(hello.index);
  return out.take();
}

Hello decode_hello(ConstBytes image) {
  WireReader in(image);
  const std::uint32_t magic = in.u32();
  Hello hello;
  hello.version = in.u16();
  hello.links = in.u8();
  hello.index = in.u8();
  if (!in.finished() || magic != kHelloMagic) {
    throw Error(ErrorCode::transport_failed, "what came first is not the greeting of a tcp link");
  }
  return hello;
}

}  // namespace paceline::transport::tcp
