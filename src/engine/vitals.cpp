#include "engine/vitals.h"

namespace paceline::engine {

void Vitals::message_waits(const MessageStand& stand) {
  const MessageCall& call = stand.call;
  const std::uint64_t words[4] = {static_cast<std::uint64_t>(stand.since),
                                  std::uint64_t{static_cast<std::uint8_t>(call.kind)} << 8 |
                                      static_cast<std::uint8_t>(call.type),
                                  std::uint64_t{static_cast<std::uint32_t>(call.peer)} << 32 |
                                      static_cast<std::uint32_t>(call.tag),
                                  call.count};
  const std::uint64_t version = message_version_.load(std::memory_order_relaxed);
  message_version_.store(version + 1, std::memory_order_relaxed);
  // Each word is stored after the odd number, and before the even one.
  for (std::size_t i = 0; i < 4; ++i) message_words_[i].store(words[i], std::memory_order_release);
  message_version_.store(version + 2, std::memory_order_release);
}

Vitals::MessageStand Vitals::message_stand() const {
  std::uint64_t words[4];
  std::uint64_t version;
  do {
    version = message_version_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < 4; ++i)
      words[i] = message_words_[i].load(std::memory_order_acquire);
  } while (version % 2 != 0 || message_version_.load(std::memory_order_relaxed) != version);
  MessageStand stand;
  stand.since = static_cast<Nanoseconds>(words[0]);
  stand.call.kind = static_cast<CallKind>(words[1] >> 8 & 0xff);
  stand.call.type = static_cast<DataType>(words[1] & 0xff);
  stand.call.peer = static_cast<std::int32_t>(words[2] >> 32);
  stand.call.tag = static_cast<std::int32_t>(words[2] & 0xffffffff);
  stand.call.count = words[3];
  return stand;
}

}  // namespace paceline::engine
