// The messages of an operation, and their bytes on every wire.
//
// Each operation starts on each edge with a message that says what the sender is calling. It is at
// once the check that both ends call the same thing (compared before anything is written), the
// exchange of buffers for puts, and the first credit: a rank announces an operation only when its
// buffers and scratch are free for it.
//
//   byte  0  u8   version of this format
//         1  u8   kind
//         2  u16  bytes of payload
//         4  u32  number of this message within the operation on this edge, from 0
//         8  u64  sequence number of the operation on the communicator
//        16  u64  Call::word()
//        24  u64  Call::count
//        32       payload: eager: the data of one put. announcement: twelve u64,
//                 {address, key} of input, output, scratch, then how long the scratch of an
//                 instance is with its shadow, the offset of the shadow in it, and how many of
//                 these each lane has, which its instances use in turn; then how many elements the
//                 sender gives to the receiver, and how many it gets from it. The last two are 0
//                 unless blocks have a length per rank; then the input and the output are the
//                 blocks that these two ranks exchange. The output's key may be kFetched or
//                 kFetchedIfStreamed. The last one's bits: 0, the sender keeps what it gives, if
//                 the receiver does too (collectives/schedule.h); 1, its input is its output; 2, it
//                 would like to keep (put_keep.cpp); 3, it stores past the caches
//                 (Endpoint::streams).
//                 cell: {address, key}
//
// Integers are in network order.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "engine/call.h"
#include "transport/transport.h"

namespace paceline::engine {

inline constexpr std::uint8_t kMessageVersion = 6;
inline constexpr std::size_t kHeaderBytes = 32;
inline constexpr std::size_t kAnnouncementBytes = 96;
inline constexpr std::size_t kAddressBytes = 16;
inline constexpr std::size_t kReferenceBytes = 24;

/// In place of the key of an output that peers cannot put into: its owner reads from their memory
/// what they say is there (collectives/lowering.h). No transport gives out this key or the next.
inline constexpr std::uint64_t kFetched = ~std::uint64_t{0};
/// The same, from peers that would store past the caches; others put into the shadow.
inline constexpr std::uint64_t kFetchedIfStreamed = kFetched - 1;

enum class MessageKind : std::uint8_t {
  eager = 1,         ///< a put's data, travelling with the header
  announcement = 2,  ///< where the sender's buffers are
  cell = 3,          ///< first on each link: where the receiver may say what (record_channel.h)
};

inline std::uint64_t network_order(std::uint64_t v) {
  return std::endian::native == std::endian::little ? __builtin_bswap64(v) : v;
}

/// An address and a key as they travel beside announcements.
using AddressWords = std::array<std::uint64_t, 2>;
inline AddressWords to_words(const transport::RemoteAddress& a) {
  return {network_order(a.address), network_order(a.key)};
}
inline transport::RemoteAddress read_address(const std::byte* from) {
  AddressWords words;
  std::memcpy(words.data(), from, sizeof words);
  return {network_order(words[0]), network_order(words[1])};
}

/// What is put in place of data that its receiver fetches: where that lies, and whether all of its
/// block is ready, before it and behind it, of which other puts would tell.
using ReferenceWords = std::array<std::uint64_t, 3>;
inline ReferenceWords to_words(const transport::RemoteAddress& a, bool whole_block) {
  return {network_order(a.address), network_order(a.key), network_order(whole_block ? 1 : 0)};
}
inline bool read_whole_block(const std::byte* reference) {
  std::uint64_t word = 0;
  std::memcpy(&word, reference + kAddressBytes, sizeof word);
  return network_order(word) != 0;
}
static_assert(sizeof(ReferenceWords) == kReferenceBytes);

/// The header as the four words that it is compared and copied as.
struct Header {
  std::uint64_t words[4];

  static Header make(MessageKind kind, std::size_t payload, std::uint32_t number,
                     std::uint64_t sequence, const Call& call) {
    const std::uint64_t first = std::uint64_t{kMessageVersion} << 56 |
                                std::uint64_t{static_cast<std::uint8_t>(kind)} << 48 |
                                std::uint64_t{payload & 0xffff} << 32 | number;
    return {{network_order(first), network_order(sequence), network_order(call.word()),
             network_order(call.count)}};
  }
  /// The same in another operation.
  [[nodiscard]] Header of(std::uint64_t sequence) const {
    return {{words[0], network_order(sequence), words[2], words[3]}};
  }
  bool operator==(const Header& other) const {
    std::uint64_t different = 0;
    for (int i = 0; i < 4; ++i) different |= words[i] ^ other.words[i];
    return different == 0;
  }
  static Header read(const std::byte* bytes) {
    Header h;
    std::memcpy(h.words, bytes, kHeaderBytes);
    return h;
  }

  [[nodiscard]] std::uint8_t version() const { return static_cast<std::uint8_t>(first() >> 56); }
  [[nodiscard]] MessageKind kind() const {
    return static_cast<MessageKind>(static_cast<std::uint8_t>(first() >> 48));
  }
  [[nodiscard]] std::size_t payload() const { return first() >> 32 & 0xffff; }
  [[nodiscard]] std::uint64_t sequence() const { return network_order(words[1]); }
  [[nodiscard]] Call call() const {
    return Call::from_words(network_order(words[2]), network_order(words[3]));
  }
  [[nodiscard]] ConstBytes bytes() const { return std::as_bytes(std::span(words)); }

 private:
  [[nodiscard]] std::uint64_t first() const { return network_order(words[0]); }
};
static_assert(sizeof(Header) == kHeaderBytes);

/// The payload of an announcement.
struct Announcement {
  transport::RemoteAddress input = {};
  transport::RemoteAddress output = {};
  transport::RemoteAddress scratch = {};
  std::uint64_t turn_stride = 0;    ///< bytes from one instance's scratch to the next one's
  std::uint64_t shadow_offset = 0;  ///< bytes from the start of an instance's scratch to its shadow
  std::uint64_t turns = 1;          ///< how many a lane has
  std::uint64_t given = 0;          ///< elements from the sender to the receiver
  std::uint64_t got = 0;            ///< and back
  bool keeps = false;               ///< what is given may be kept
  bool in_place = false;            ///< the input is the output
  bool likes_to_keep = true;        ///< in the next operation, if the receiver does too
  bool streams = false;             ///< what is put into scratch goes past the caches

  void write(std::byte (&to)[kAnnouncementBytes]) const {
    const std::uint64_t values[kWords] = {input.address,
                                          input.key,
                                          output.address,
                                          output.key,
                                          scratch.address,
                                          scratch.key,
                                          turn_stride,
                                          shadow_offset,
                                          turns,
                                          given,
                                          got,
                                          (keeps ? kKeeps : 0) | (in_place ? kInPlace : 0) |
                                              (likes_to_keep ? kLikesToKeep : 0) |
                                              (streams ? kStreams : 0)};
    for (std::size_t i = 0; i < kWords; ++i) {
      const std::uint64_t v = network_order(values[i]);
      std::memcpy(to + 8 * i, &v, 8);
    }
  }
  static Announcement read(const std::byte* from) {
    std::uint64_t v[kWords];
    std::memcpy(v, from, sizeof v);
    for (std::uint64_t& x : v) x = network_order(x);
    return {{v[0], v[1]},
            {v[2], v[3]},
            {v[4], v[5]},
            v[6],
            v[7],
            v[8],
            v[9],
            v[10],
            (v[11] & kKeeps) != 0,
            (v[11] & kInPlace) != 0,
            (v[11] & kLikesToKeep) != 0,
            (v[11] & kStreams) != 0};
  }

 private:
  static constexpr std::size_t kWords = kAnnouncementBytes / sizeof(std::uint64_t);
  static constexpr std::uint64_t kKeeps = 1;
  static constexpr std::uint64_t kInPlace = 2;
  static constexpr std::uint64_t kLikesToKeep = 4;
  static constexpr std::uint64_t kStreams = 8;
};

}  // namespace paceline::engine
