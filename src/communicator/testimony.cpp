#include "communicator/testimony.h"

#include <algorithm>

namespace paceline {

namespace {

constexpr std::uint8_t kVersion = 3;
/// Of the calls that the engine remembers, so many travel: to find where two ranks parted, which is
/// seldom far back, since the first message after it tells.
constexpr std::uint64_t kCalls = 16;
/// "verbs" is the longest.
constexpr std::size_t kMaxWire = 32;
/// The text of a send or recv with the longest numbers.
constexpr std::size_t kMaxMessage = 96;
/// Neighbours in the control graph: two for each power of two below the number of ranks.
constexpr std::size_t kMaxDeparted = 64;

}  // namespace

Bytes Testimony::write() const {
  WireWriter out;
  out.u8(kVersion).u64(entered).u64(finished);
  out.u8(static_cast<std::uint8_t>(calls.size()));
  for (const auto& [sequence, call] : calls) out.u64(sequence).u64(call.word()).u64(call.count);
  out.u64(static_cast<std::uint64_t>(stand.since)).u8(static_cast<std::uint8_t>(stand.phase));
  out.u32(static_cast<std::uint32_t>(stand.waiting_for)).u64(stand.step).u64(stand.steps);
  out.text(message).u32(static_cast<std::uint32_t>(message_peer));
  out.u64(static_cast<std::uint64_t>(message_waited));
  out.text(wire).u64(static_cast<std::uint64_t>(quiet_for)).u8(failed ? 1 : 0);
  const std::size_t gone = std::min(departed.size(), kMaxDeparted);
  out.u8(static_cast<std::uint8_t>(gone));
  for (std::size_t i = 0; i < gone; ++i) out.u32(static_cast<std::uint32_t>(departed[i]));
  return out.take();
}

std::optional<Testimony> Testimony::read(ConstBytes bytes) {
  WireReader in(bytes);
  Testimony t;
  const std::uint8_t version = in.u8();
  t.entered = in.u64();
  t.finished = in.u64();
  for (int left = in.u8(); left > 0 && in.ok(); --left) {
    const std::uint64_t sequence = in.u64();
    if (!t.calls.empty() && sequence <= t.calls.rbegin()->first) return std::nullopt;
    const std::uint64_t word = in.u64();
    t.calls[sequence] = engine::Call::from_words(word, in.u64());
  }
  t.stand.since = static_cast<Nanoseconds>(in.u64());
  const std::uint8_t phase = in.u8();
  t.stand.waiting_for = static_cast<int>(in.u32());
  t.stand.step = in.u64();
  t.stand.steps = in.u64();
  t.message = in.text(kMaxMessage);
  t.message_peer = static_cast<int>(in.u32());
  t.message_waited = static_cast<Nanoseconds>(in.u64());
  t.wire = in.text(kMaxWire);
  t.quiet_for = static_cast<Nanoseconds>(in.u64());
  const std::uint8_t failed = in.u8();
  t.failed = failed == 1;
  for (int left = in.u8(); left > 0 && in.ok(); --left) {
    t.departed.push_back(static_cast<int>(in.u32()));
  }
  if (!in.finished() || failed > 1 || version != kVersion) return std::nullopt;
  if (phase > static_cast<std::uint8_t>(engine::Phase::failed)) return std::nullopt;
  t.stand.phase = static_cast<engine::Phase>(phase);
  return t;
}

Testimony take_testimony(const engine::Vitals& vitals, Nanoseconds now) {
  Testimony t;
  t.finished = vitals.finished();
  t.entered = vitals.entered();
  for (std::uint64_t s = t.entered > kCalls ? t.entered - kCalls : 0; s < t.entered; ++s) {
    if (const auto call = vitals.call_at(s)) t.calls[s] = *call;
  }
  t.stand = vitals.stand();
  if (t.stand.since != 0) t.stand.since = std::max<Nanoseconds>(now - t.stand.since, 1);
  if (const engine::Vitals::MessageStand message = vitals.message_stand(); message.since != 0) {
    t.message = message.call.text();
    t.message_peer = message.call.peer;
    t.message_waited = std::max<Nanoseconds>(now - message.since, 1);
  }
  return t;
}

}  // namespace paceline
