#include "engine/record_channel.h"

#include <algorithm>
#include <cstring>

#include "engine/engine.h"

namespace paceline::engine {

using transport::RemoteAddress;

namespace {

/// In the first word of a note: that it is one, and of which version.
constexpr std::uint64_t kNote = 0x504c4352'00000001u;

/// A quarter: the other still has most of its room when it hears of it, and a report is one record
/// for many.
constexpr std::size_t kReportProcessed = kWindow / 4;
constexpr std::size_t kReportTaken = kEagerWindow / 4;

void write_words(std::byte* to, std::initializer_list<std::uint64_t> words) {
  for (std::uint64_t word : words) {
    word = network_order(word);
    std::memcpy(to, &word, sizeof word);
    to += sizeof word;
  }
}

std::uint64_t read_word(const std::byte* from, std::size_t index) {
  std::uint64_t word;
  std::memcpy(&word, from + index * sizeof word, sizeof word);
  return network_order(word);
}

std::size_t after(std::size_t at, std::size_t length) {
  return at + length < kRing ? at + length : 0;
}

}  // namespace

RecordChannel::RecordChannel(Edge& edge, memory::Registrar& registrar, const std::byte* cell,
                             int me)
    : edge_(edge),
      cell_(cell),
      me_(me),
      ring_(registrar.allocate(kRingBytes, Device::host())),
      mirror_(edge.endpoint->maps() ? nullptr : registrar.allocate(kRingBytes, Device::host())) {}

std::size_t RecordChannel::bytes() const {
  return ring_->size() + (mirror_ == nullptr ? 0 : mirror_->size());
}

// --- making it -----------------------------------------------------------------------------------

bool RecordChannel::open() {
  if (open_) return true;
  if (!noted_) {
    if (edge_.cell.key == transport::kNoKey) return false;  // the peer's first message is to come
    const transport::Registration* registration = ring_->registration(edge_.transport);
    write_words(note_.data(), {kNote, reinterpret_cast<std::uintptr_t>(ring_->data()),
                               registration == nullptr ? transport::kNoKey : registration->key()});
    if (!edge_.endpoint->put(kRecordLane, note_, nullptr, edge_.cell)) return false;
    noted_ = true;
  }
  if (edge_.endpoint->arrived(kRecordLane) == 0) return false;
  if (read_word(cell_, 0) != kNote) garbled("where its ring is");
  peer_ring_ = {read_word(cell_, 1), read_word(cell_, 2)};
  heard_ = 1;
  open_ = true;
  return true;
}

// --- telling -------------------------------------------------------------------------------------

bool RecordChannel::tell(Record record, ConstBytes payload) {
  const std::size_t length = length_of(payload.size());
  const std::size_t spared = record.kind == RecordKind::progress ? 0 : kReserve;
  if (told_ - theirs_.processed + length + spared > kWindow) return false;
  record.progress = mine_;
  if (!put_record(record, payload)) return false;
  told_ += length;
  if (record.kind == RecordKind::eager) told_eager_ += length;
  tell_at_ = after(tell_at_, length);
  reported_ = mine_;
  return true;
}

bool RecordChannel::put_record(const Record& record, ConstBytes payload) {
  const std::size_t bytes = kRecordBytes + payload.size();
  RemoteAddress target = peer_ring_;
  target.address += tell_at_;
  // Mapped anew for each record, which is a look-up: the peer may take its memory back.
  std::byte* const at =
      mirror_ != nullptr ? mirror_->data() + tell_at_ : edge_.endpoint->map(target, bytes);
  if (at == nullptr) return false;
  record.write(at);
  if (!payload.empty()) std::memcpy(at + kRecordBytes, payload.data(), payload.size());
  if (mirror_ == nullptr) return edge_.endpoint->signal(kRecordLane);
  return edge_.endpoint->put(kRecordLane, {at, bytes}, mirror_->registration(edge_.transport),
                             target);
}

bool RecordChannel::put(ConstBytes source, const memory::Region* region, RemoteAddress target) {
  const transport::Registration* const registration =
      region == nullptr ? nullptr : region->registration(edge_.transport);
  const bool done = source.empty() ? edge_.endpoint->signal(kDataLane)
                                   : edge_.endpoint->put(kDataLane, source, registration, target);
  puts_ += done ? 1 : 0;
  return done;
}

bool RecordChannel::flushed() {
  return edge_.endpoint->flushed();
}

// --- hearing -------------------------------------------------------------------------------------

std::optional<Record> RecordChannel::front() {
  if (edge_.endpoint->arrived(kRecordLane) <= heard_) return std::nullopt;
  std::uint8_t version = 0;
  const Record record = Record::read(ring_->data() + hear_at_, version);
  if (version != kRecordVersion) garbled("a record of another version");
  if (record.kind < RecordKind::eager || record.kind > RecordKind::progress) {
    garbled("a record of no known kind");
  }
  std::uint64_t payload = 0;
  switch (record.kind) {
    case RecordKind::eager:
      if (!is_valid(record.type) || record.count > kLongestRecord) garbled("an impossible length");
      payload = record.count * size_of(record.type);
      if (payload > kLongestRecord - kRecordBytes) garbled("an impossible length");
      break;
    case RecordKind::offer:
    case RecordKind::request:
    case RecordKind::progress:
      break;
  }
  believe(record.progress);
  eager_ = record.kind == RecordKind::eager;
  if (eager_ && heard_eager_ + length_of(payload) - mine_.taken > kEagerWindow) {
    garbled("more than it may make this rank keep");
  }
  payload_ = {ring_->data() + hear_at_ + kRecordBytes, payload};
  return record;
}

void RecordChannel::pop() {
  const std::size_t length = length_of(payload_.size());
  hear_at_ = after(hear_at_, length);
  mine_.processed += length;
  if (eager_) heard_eager_ += length;
  ++heard_;
  payload_ = {};
}

bool RecordChannel::data_here() {
  return edge_.endpoint->arrived(kDataLane) > mine_.landed;
}

// What a peer says of itself is believed no further than it makes sense.
void RecordChannel::believe(const Progress& p) {
  if (p.processed < theirs_.processed || p.processed > told_ || p.taken < theirs_.taken ||
      p.taken > told_eager_ || p.landed < theirs_.landed || p.landed > puts_) {
    garbled("progress that cannot be");
  }
  theirs_ = p;
}

void RecordChannel::garbled(const std::string& what) const {
  throw Error(ErrorCode::internal,
              "rank " + std::to_string(edge_.peer) + " told rank " + std::to_string(me_) + " " +
                  what + " in what it says of sends and recvs: please report this",
              {me_, edge_.peer});
}

// --- progress ------------------------------------------------------------------------------------

bool RecordChannel::report_due() const {
  if (!open_ || mute_) return false;
  return mine_.landed != reported_.landed ||
         mine_.processed - reported_.processed >= kReportProcessed ||
         mine_.taken - reported_.taken >= kReportTaken;
}

bool RecordChannel::report() {
  try {
    return tell({.kind = RecordKind::progress});
  } catch (const Error&) {
    mute_ = true;  // who waits for this peer hears of it elsewhere
    return true;
  }
}

}  // namespace paceline::engine
