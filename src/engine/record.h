// What two ranks tell each other about the messages between them, and its bytes on every wire.
//
//   byte  0  u8   version of this format
//         1  u8   kind
//         2  u8   type of the elements
//         3  u8   request: 1 if the data goes through the bounce (message_pair.h); else 0
//         4  u32  tag
//         8  u64  number of the message among all that its sender has sent to the receiver, from 0
//        16  u64  count of elements
//        24  u64  how far the teller has come with what the other has told: Progress,
//        32  u64    its three
//        40  u64    numbers
//        48  u64  request: where the data goes, the address; else 0
//        56  u64  request: its key; else 0
//        64       payload, eager: the data
//
// Integers are in network order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/announcement.h"
#include "paceline/types.h"
#include "transport/transport.h"

namespace paceline::engine {

inline constexpr std::uint8_t kRecordVersion = 1;
inline constexpr std::size_t kRecordBytes = 64;

enum class RecordKind : std::uint8_t {
  eager = 1,     ///< a message, with its data
  offer = 2,     ///< a message; its data is to be asked for
  request = 3,   ///< the data of an offered message, please, and there
  progress = 4,  ///< nothing but what every record says
};

/// What the teller of a record has had from the other, since the beginning.
struct Progress {
  std::uint64_t processed = 0;  ///< bytes of records that have left the ring
  std::uint64_t taken = 0;      ///< those of them that were eager and are in their recv's buffer
  std::uint64_t landed = 0;     ///< puts of data that have been made use of
};

struct Record {
  RecordKind kind = RecordKind::progress;
  DataType type = DataType::float32;
  bool staged = false;
  std::int32_t tag = 0;
  std::uint64_t number = 0;
  std::uint64_t count = 0;
  Progress progress = {};
  transport::RemoteAddress target = {};

  void write(std::byte* to) const {
    const std::uint64_t words[8] = {
        std::uint64_t{kRecordVersion} << 56 | std::uint64_t{static_cast<std::uint8_t>(kind)} << 48 |
            std::uint64_t{static_cast<std::uint8_t>(type)} << 40 |
            std::uint64_t{staged ? 1u : 0u} << 32 | static_cast<std::uint32_t>(tag),
        number,
        count,
        progress.processed,
        progress.taken,
        progress.landed,
        target.address,
        target.key};
    for (std::size_t i = 0; i < 8; ++i) {
      const std::uint64_t word = network_order(words[i]);
      std::memcpy(to + 8 * i, &word, sizeof word);
    }
  }
  /// `version` apart, whatever the bytes say.
  static Record read(const std::byte* from, std::uint8_t& version) {
    std::uint64_t words[8];
    std::memcpy(words, from, sizeof words);
    for (std::uint64_t& word : words) word = network_order(word);
    version = static_cast<std::uint8_t>(words[0] >> 56);
    Record r;
    r.kind = static_cast<RecordKind>(static_cast<std::uint8_t>(words[0] >> 48));
    r.type = static_cast<DataType>(static_cast<std::uint8_t>(words[0] >> 40));
    r.staged = (words[0] >> 32 & 0xff) != 0;
    r.tag = static_cast<std::int32_t>(static_cast<std::uint32_t>(words[0]));
    r.number = words[1];
    r.count = words[2];
    r.progress = {words[3], words[4], words[5]};
    r.target = {words[6], words[7]};
    return r;
  }
};

}  // namespace paceline::engine
