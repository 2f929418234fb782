#include "engine/point_to_point.h"

#include <algorithm>

#include "engine/engine.h"

namespace paceline::engine {

PointToPoint::PointToPoint(Engine& engine) : engine_(engine) {}

MessagePair& PointToPoint::pair(int peer) {
  pairs_.resize(static_cast<std::size_t>(engine_.options_.size));
  auto& slot = pairs_[static_cast<std::size_t>(peer)];
  if (slot == nullptr) slot = std::make_unique<MessagePair>(engine_, peer);
  return *slot;
}

void PointToPoint::activate(int peer) {
  MessagePair* const p = &pair(peer);
  if (std::find(active_.begin(), active_.end(), p) == active_.end()) active_.push_back(p);
}

MessagePtr PointToPoint::submit(const MessageCall& call, const std::byte* source,
                                std::byte* target) {
  auto message = std::make_shared<Message>();
  message->call = call;
  message->sequence = engine_.message_history_.submit(call);
  message->source = source;
  message->target = target;
  engine_.vitals_.message_called();
  if (engine_.failure_) {
    const Error& why = *engine_.failure_;
    engine_.message_history_.finish(message->sequence, Outcome::failed, 0);
    message->finish(Error(why.code(), why.what(), engine_.where(*message, why.peer())));
    return message;
  }
  pair(call.peer).add(message);
  activate(call.peer);
  return message;
}

bool PointToPoint::poll() {
  bool moved = false;
  for (std::size_t i = 0; i < active_.size();) {
    moved |= active_[i]->advance();
    if (active_[i]->idle()) {
      active_[i] = active_.back();
      active_.pop_back();
    } else {
      ++i;
    }
  }
  return moved;
}

void PointToPoint::examine(Nanoseconds now) {
  if (engine_.failure_) return;
  answer_strangers();
  std::optional<MessageWait> longest;
  for (MessagePair* p : active_) {
    const std::optional<MessageWait> wait = p->examine(now);
    if (wait && (!longest || wait->since < longest->since)) longest = wait;
  }
  engine_.vitals_.message_waits(longest ? Vitals::MessageStand{longest->since, longest->call}
                                        : Vitals::MessageStand{});
  for (const MessagePair* p : active_) p->require_link();
  if (!longest || now - longest->since <= engine_.timeout_) return;
  late_ = longest;
  throw Error(ErrorCode::timeout,
              longest->call.text() + " on rank " + std::to_string(engine_.options_.rank) +
                  " made no progress for " + std::to_string(engine_.timeout_ / kMillisecond) +
                  " ms: it waits for " + awaited(*longest) +
                  "; raise PACELINE_TIMEOUT if ranks are rightly that far apart",
              {engine_.options_.rank, longest->call.peer, longest->call.text()});
}

void PointToPoint::answer_strangers() {
  for (int peer = 0; peer < engine_.options_.size; ++peer) {
    if (peer == engine_.options_.rank) continue;
    if (!pairs_.empty() && pairs_[static_cast<std::size_t>(peer)] != nullptr) continue;
    if (!engine_.linked(peer)) continue;
    Edge& edge = engine_.edge(peer);
    // The peer begins when it knows the address of its cell.
    if (!engine_.connect(edge) || edge.endpoint->arrived(kRecordLane) == 0) continue;
    pair(peer).begin_to_answer();
    activate(peer);
    (void)pair(peer).advance();
  }
}

std::optional<MessageCall> PointToPoint::call_with(int peer) const {
  const auto p = static_cast<std::size_t>(peer);
  std::optional<MessageCall> call;
  if (p < pairs_.size() && pairs_[p] != nullptr) {
    pairs_[p]->each([&](const Message& message) { call = message.call; });
  }
  return call;
}

std::string PointToPoint::awaited(const MessageWait& wait) const {
  const std::string name = engine_.peers_.name(wait.call.peer);
  const std::string me = std::to_string(engine_.options_.rank);
  const std::string with_tag = me + ", tag " + std::to_string(wait.call.tag) + ")";
  switch (wait.awaited) {
    case Awaited::link:
      return "the link to " + name;
    case Awaited::answer:
      return name + " to send to rank " + me + " or receive from it";
    case Awaited::room:
      return name + " to look at what was sent before";
    case Awaited::taking:
      return name + " to take the data";
    case Awaited::data:
      return "the data from " + name;
    case Awaited::send:
      return name + " to call send(to " + with_tag;
    case Awaited::recv:
      return name + " to call recv(from " + with_tag;
  }
  return name;
}

void PointToPoint::fail(const Error& error) {
  for (const auto& p : pairs_) {
    if (p == nullptr) continue;
    p->fail([&](Message& message) {
      engine_.message_history_.finish(message.sequence, Outcome::failed, 0);
      message.finish(Error(error.code(), error.what(), engine_.where(message, error.peer())));
    });
  }
  active_.clear();
}

std::size_t PointToPoint::bytes() const {
  std::size_t sum = 0;
  for (const auto& p : pairs_) sum += p == nullptr ? 0 : p->bytes();
  return sum;
}

}  // namespace paceline::engine
