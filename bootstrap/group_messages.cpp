#include "bootstrap/group_messages.h"

namespace paceline::bootstrap {

namespace {

/// More than one frame's worth cannot come.
constexpr std::uint32_t kMaxTestimonies = kMaxPayload / 8;

bool is_topic(std::uint8_t value) {
  return value >= static_cast<std::uint8_t>(Topic::hang) &&
         value <= static_cast<std::uint8_t>(Topic::departed);
}

void write_ranks(WireWriter& out, const std::vector<std::uint32_t>& ranks) {
  out.u32(static_cast<std::uint32_t>(ranks.size()));
  for (const std::uint32_t rank : ranks) out.u32(rank);
}

bool read_ranks(WireReader& in, std::vector<std::uint32_t>& ranks) {
  const std::uint32_t count = in.u32();
  if (count > kMaxRanks) return false;
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) ranks.push_back(in.u32());
  return in.ok();
}

}  // namespace

Bytes Inquiry::encode() const {
  return WireWriter()
      .u32(asker)
      .u32(number)
      .u8(static_cast<std::uint8_t>(topic))
      .u32(limit_ms)
      .blob(question)
      .take();
}

std::optional<Inquiry> Inquiry::decode(ConstBytes bytes) {
  WireReader in(bytes);
  Inquiry result;
  result.asker = in.u32();
  result.number = in.u32();
  const std::uint8_t topic = in.u8();
  result.limit_ms = in.u32();
  const ConstBytes question = in.blob(kMaxQuestion);
  result.question.assign(question.begin(), question.end());
  if (!in.finished() || !is_topic(topic)) return std::nullopt;
  result.topic = static_cast<Topic>(topic);
  return result;
}

Bytes Answer::encode() const {
  WireWriter out;
  out.u32(asker).u32(number).u8(last ? 1 : 0);
  out.u32(static_cast<std::uint32_t>(testimonies.size()));
  for (const auto& [rank, bytes] : testimonies) out.u32(rank).blob(bytes);
  return out.take();
}

std::optional<Answer> Answer::decode(ConstBytes bytes) {
  WireReader in(bytes);
  Answer result;
  result.asker = in.u32();
  result.number = in.u32();
  const std::uint8_t last = in.u8();
  result.last = last == 1;
  const std::uint32_t count = in.u32();
  if (count > kMaxTestimonies) return std::nullopt;
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    const std::uint32_t rank = in.u32();
    const ConstBytes testimony = in.blob(kMaxTestimony);
    result.testimonies.emplace_back(rank, Bytes(testimony.begin(), testimony.end()));
  }
  if (!in.finished() || last > 1) return std::nullopt;
  return result;
}

Bytes Gone::encode() const {
  WireWriter out;
  write_ranks(out, ranks);
  return out.take();
}

std::optional<Gone> Gone::decode(ConstBytes bytes) {
  WireReader in(bytes);
  Gone result;
  if (!read_ranks(in, result.ranks) || !in.finished()) return std::nullopt;
  return result;
}

void Decision::encode(WireWriter& out) const {
  out.u32(epoch).u32(leader);
  write_ranks(out, ranks);
}

Bytes Decision::encode() const {
  WireWriter out;
  encode(out);
  return out.take();
}

std::optional<Decision> Decision::decode(WireReader& in) {
  Decision result;
  result.epoch = in.u32();
  result.leader = in.u32();
  if (!read_ranks(in, result.ranks)) return std::nullopt;
  return result;
}

std::optional<Decision> Decision::decode(ConstBytes bytes) {
  WireReader in(bytes);
  std::optional<Decision> result = decode(in);
  return in.finished() ? result : std::nullopt;
}

Bytes Note::encode() const {
  return WireWriter().text(key).blob(value).take();
}

std::optional<Note> Note::decode(ConstBytes bytes) {
  WireReader in(bytes);
  Note result;
  result.key = in.text(kMaxName);
  const ConstBytes value = in.blob(kMaxBlock);
  result.value.assign(value.begin(), value.end());
  if (!in.finished()) return std::nullopt;
  return result;
}

}  // namespace paceline::bootstrap
