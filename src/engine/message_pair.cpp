#include "engine/message_pair.h"

#include <algorithm>
#include <cstring>

#include "engine/engine.h"

namespace paceline::engine {

namespace {

Record record_of(RecordKind kind, const MessageCall& call, std::uint64_t number) {
  Record r;
  r.kind = kind;
  r.type = call.type;
  r.tag = call.tag;
  r.number = number;
  r.count = call.count;
  return r;
}

void copy(std::byte* to, ConstBytes from) {
  if (!from.empty()) memory::kind_of(to).copy(to, from.data(), from.size());
}

}  // namespace

bool MessagePair::has_calls() const {
  return !fresh_.empty() || own_waiting_ != 0 || !untold_.empty() || !offered_.empty() ||
         !serving_.empty() || !leaving_.empty() || !posted_.empty() || !requesting_.empty() ||
         !coming_.empty();
}

bool MessagePair::travels_with_record(std::size_t bytes) const {
  return bytes <= std::min(engine_.options_.eager_bytes, kLongestRecord - kRecordBytes);
}

bool MessagePair::idle() const {
  return !has_calls() && !answering_ && (channel_ == nullptr || !channel_->report_due());
}

std::size_t MessagePair::bytes() const {
  return (channel_ == nullptr ? 0 : channel_->bytes()) + (bounce_ == nullptr ? 0 : bounce_->size());
}

void MessagePair::finish(Message& message) {
  const Nanoseconds now = engine_.now_;
  const Nanoseconds waited = message.since == 0 || now == 0 ? 0 : now - message.since;
  engine_.message_history_.finish(message.sequence, Outcome::succeeded, waited);
  message.finish(std::nullopt);
}

// --- calls in ------------------------------------------------------------------------------------

// Calls are only queued when they are made: what is wrong with one is thrown where progress is
// made, and it is in a queue until then, so that it fails like all others.
bool MessagePair::take_in() {
  bool moved = false;
  for (; !fresh_.empty(); moved = true) {
    const MessagePtr message = fresh_.front();
    const int tag = message->call.tag;
    if (message->call.kind == CallKind::send) {
      if (peer_ == engine_.options_.rank) {
        send_to_self(message);
      } else {
        untold_.push_back(message);
      }
    } else if (Arrival* const arrival = unexpected_.front(tag)) {
      compare(*message, arrival->record);
      settle(message, unexpected_.take(tag));
    } else {
      posted_.push(tag, message);
    }
    fresh_.pop_front();
  }
  return moved;
}

// A recv meets a message that was there before it.
void MessagePair::settle(const MessagePtr& recv, Arrival arrival) {
  if (arrival.own != nullptr) {
    --own_waiting_;
    copy(recv->target, {arrival.own->source, recv->call.bytes()});
    finish(*arrival.own);
    finish(*recv);
  } else if (arrival.record.kind == RecordKind::offer) {
    request(recv, arrival.record);
  } else if (channel_ == nullptr) {
    kept_ -= arrival.data.size();
    copy(recv->target, arrival.data);
    finish(*recv);
  } else {
    receive_eager(*recv, arrival.data);
  }
}

// As between two ranks: what is small is copied aside if nobody waits for it, up to a bound; what
// is not, waits for its recv.
void MessagePair::send_to_self(const MessagePtr& send) {
  const int tag = send->call.tag;
  const std::size_t bytes = send->call.bytes();
  const Record record = record_of(RecordKind::eager, send->call, sent_++);
  if (MessagePtr* const waiting = posted_.front(tag)) {
    const MessagePtr recv = *waiting;
    compare(*recv, record);
    (void)posted_.take(tag);
    ++own_waiting_;
    settle(recv, {record, {}, send});
  } else if (travels_with_record(bytes) && kept_ + bytes <= kEagerWindow) {
    kept_ += bytes;
    unexpected_.push(tag, {record, Bytes(send->source, send->source + bytes), nullptr});
    finish(*send);
  } else {
    ++own_waiting_;
    unexpected_.push(tag, {record, {}, send});
  }
}

void MessagePair::compare(const Message& recv, const Record& record) const {
  if (recv.call.count == record.count && recv.call.type == record.type) return;
  const MessageCall theirs{CallKind::send, record.type, engine_.options_.rank, record.tag,
                           record.count};
  throw Error(ErrorCode::mismatch,
              engine_.peers_.name(peer_) + " called " + theirs.text() + " where rank " +
                  std::to_string(engine_.options_.rank) + " called " + recv.call.text() +
                  ": a send and its recv must have the same count and type",
              {engine_.options_.rank, peer_, recv.call.text()});
}

// --- progress ------------------------------------------------------------------------------------

bool MessagePair::advance() {
  bool moved = take_in();
  if (peer_ == engine_.options_.rank) return moved;  // that was all
  if (!has_calls() && answering_) return answer();
  if (!open()) return moved;
  answering_ = false;
  moved |= hear();
  moved |= land();
  moved |= tell();
  moved |= serve();
  moved |= let_go();
  if (channel_->report_due()) moved |= channel_->report();
  return moved;
}

// A stranger that is gone again is no failure of ours.
bool MessagePair::answer() {
  try {
    answering_ = !open();
  } catch (const Error&) {
    answering_ = false;
  }
  return !answering_;
}

bool MessagePair::open() {
  if (edge_ == nullptr) {
    Edge& edge = engine_.edge(peer_);
    if (!engine_.connect(edge)) return false;
    edge_ = &edge;
  }
  if (channel_ == nullptr) {
    channel_ = std::make_unique<RecordChannel>(*edge_, *engine_.registrar_, engine_.cell_of(peer_),
                                               engine_.options_.rank);
  }
  if (edge_->cell.key == transport::kNoKey) engine_.take_cell(*edge_);
  return channel_->open();
}

bool MessagePair::tell() {
  bool moved = false;
  for (; !requesting_.empty(); moved = true) {
    const MessagePtr recv = requesting_.front();
    Record record = record_of(RecordKind::request, recv->call, recv->number);
    record.staged = recv->staged;
    record.target = recv->remote;
    if (!channel_->tell(record)) return moved;
    recv->since = 0;
    coming_.push_back(recv);
    requesting_.pop_front();
  }
  for (; !untold_.empty(); moved = true) {
    const MessagePtr send = untold_.front();
    const std::size_t bytes = send->call.bytes();
    const bool eager = travels_with_record(bytes) && channel_->has_eager_room(bytes);
    const RecordKind kind = eager ? RecordKind::eager : RecordKind::offer;
    const ConstBytes data{send->source, eager ? bytes : 0};
    if (!channel_->tell(record_of(kind, send->call, sent_), data)) return moved;
    send->number = sent_++;
    send->since = 0;
    if (eager) {
      finish(*send);
    } else {
      offered_.push(send->call.tag, send);
    }
    untold_.pop_front();
  }
  return moved;
}

bool MessagePair::hear() {
  bool moved = false;
  while (const std::optional<Record> record = channel_->front()) {
    handle(*record, channel_->payload());
    channel_->pop();
    moved = true;
  }
  return moved;
}

void MessagePair::handle(const Record& record, ConstBytes payload) {
  switch (record.kind) {
    case RecordKind::eager:
    case RecordKind::offer: {
      if (record.number != received_++) channel_->garbled("a message out of order");
      if (posted_.front(record.tag) == nullptr) {
        unexpected_.push(record.tag, {record, Bytes(payload.begin(), payload.end()), nullptr});
        return;
      }
      const MessagePtr recv = *posted_.front(record.tag);
      compare(*recv, record);
      if (record.kind == RecordKind::eager) {
        receive_eager(*recv, payload);
      } else {
        request(recv, record);
      }
      (void)posted_.take(record.tag);  // only now: what throws is to fail with the others
      return;
    }
    case RecordKind::request:
      return take_request(record);
    case RecordKind::progress:
      break;
  }
}

void MessagePair::receive_eager(Message& recv, ConstBytes payload) {
  copy(recv.target, payload);
  channel_->take(payload.size());
  finish(recv);
}

// Says where the data goes: to its place, if this wire can put there, else into the bounce.
void MessagePair::request(const MessagePtr& recv, const Record& offer) {
  const std::size_t bytes = recv->call.bytes();
  recv->number = offer.number;
  recv->since = 0;
  const auto key_of = [&](const std::shared_ptr<memory::Region>& region) {
    const auto* const registration =
        region == nullptr ? nullptr : region->registration(edge_->transport);
    return registration == nullptr ? transport::kNoKey : registration->key();
  };
  if (bytes != 0) {
    // A wire that maps gains nothing from registering somebody else's memory.
    memory::Registrar& registrar = *engine_.registrar_;
    recv->region = edge_->endpoint->maps() ? registrar.find(recv->target, bytes)
                                           : registrar.cover(recv->target, bytes);
    recv->remote = {reinterpret_cast<std::uintptr_t>(recv->target), key_of(recv->region)};
    recv->staged = recv->remote.key == transport::kNoKey;
  }
  if (recv->staged) {
    if (bounce_ == nullptr) {
      bounce_ = engine_.registrar_->allocate(kBounceSegments * kBounceSegment, Device::host());
    }
    recv->remote = {reinterpret_cast<std::uintptr_t>(bounce_->data()), key_of(bounce_)};
  }
  requesting_.push_back(recv);
}

void MessagePair::take_request(const Record& record) {
  const MessagePtr* const found = offered_.front(record.tag);
  if (found == nullptr || (*found)->number != record.number) {
    channel_->garbled("a request for what was not offered");
  }
  const MessagePtr send = offered_.take(record.tag);
  send->remote = record.target;
  send->staged = record.staged;
  send->since = 0;
  // For whom the wire must register what it sends, what is registered already is cheaper.
  if (send->call.bytes() != 0) {
    send->region = engine_.registrar_->find(send->source, send->call.bytes());
  }
  serving_.push_back(send);
}

bool MessagePair::serve() {
  bool moved = false;
  while (!serving_.empty()) {
    const MessagePtr send = serving_.front();
    bool done = false;
    moved |= put(*send, done);
    if (!done) return moved;
    send->last_put = channel_->puts();
    leaving_.push_back(send);
    serving_.pop_front();
  }
  return moved;
}

// Puts what can be put of it; true if anything could.
bool MessagePair::put(Message& send, bool& done) {
  const ConstBytes data{send.source, send.call.bytes()};
  if (!send.staged) {
    done = channel_->put(data, send.region.get(), send.remote);
    return done;
  }
  bool moved = false;
  while (send.offset < data.size()) {
    const std::size_t place = segments_out_ % kBounceSegments;
    if (segment_put_[place] > channel_->landed()) return moved;  // not emptied yet
    const std::size_t bytes = std::min(kBounceSegment, data.size() - send.offset);
    transport::RemoteAddress target = send.remote;
    target.address += place * kBounceSegment;
    if (!channel_->put(data.subspan(send.offset, bytes), send.region.get(), target)) return moved;
    segment_put_[place] = channel_->puts();
    ++segments_out_;
    send.offset += bytes;
    send.since = 0;
    moved = true;
  }
  done = true;
  return moved;
}

// Data that has come: each put belongs to the first of those that were requested.
bool MessagePair::land() {
  bool moved = false;
  for (; channel_->data_here(); moved = true) {
    if (coming_.empty()) channel_->garbled("data that nobody asked for");
    const MessagePtr recv = coming_.front();
    const std::size_t all = recv->call.bytes();
    if (recv->staged) {
      const std::size_t bytes = std::min(kBounceSegment, all - recv->offset);
      const std::size_t place = segments_in_++ % kBounceSegments;
      copy(recv->target + recv->offset, {bounce_->data() + place * kBounceSegment, bytes});
      recv->offset += bytes;
      recv->since = 0;
    }
    channel_->land();
    if (recv->staged && recv->offset < all) {
      // The sender waits for it.
      (void)channel_->report();
      continue;
    }
    finish(*recv);
    coming_.pop_front();
  }
  return moved;
}

// Sends whose data the wire or the peer has.
bool MessagePair::let_go() {
  bool moved = false;
  while (!leaving_.empty()) {
    const MessagePtr send = leaving_.front();
    if (channel_->landed() < send->last_put && !channel_->flushed()) return moved;
    finish(*send);
    leaving_.pop_front();
    moved = true;
  }
  return moved;
}

// --- waiting -------------------------------------------------------------------------------------

std::optional<MessageWait> MessagePair::examine(Nanoseconds now) {
  std::optional<MessageWait> longest;
  const auto look = [&](Message& m, Awaited awaited) {
    if (m.since == 0) m.since = now;
    if (!longest || m.since < longest->since) longest = MessageWait{m.call, m.since, awaited};
  };
  const auto first = [&](std::deque<MessagePtr>& queue, Awaited awaited) {
    if (!queue.empty()) look(*queue.front(), awaited);
  };
  const bool open = channel_ != nullptr && channel_->is_open();
  first(untold_, edge_ == nullptr ? Awaited::link : open ? Awaited::room : Awaited::answer);
  first(requesting_, Awaited::room);
  first(serving_, Awaited::taking);
  first(leaving_, Awaited::taking);
  first(coming_, Awaited::data);
  offered_.each_front([&](const MessagePtr& m) { look(*m, Awaited::recv); });
  posted_.each_front([&](const MessagePtr& m) { look(*m, Awaited::send); });
  unexpected_.each_front([&](const Arrival& a) {
    if (a.own != nullptr) look(*a.own, Awaited::recv);
  });
  return longest;
}

void MessagePair::require_link() const {
  if (has_calls() && edge_ != nullptr) (void)edge_->endpoint->front();
}

}  // namespace paceline::engine
