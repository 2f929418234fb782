#include "engine/message_history.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "engine/call.h"

namespace paceline {

std::string_view to_string(CallKind kind) {
  switch (kind) {
    case CallKind::collective:
      return "collective";
    case CallKind::send:
      return "send";
    case CallKind::recv:
      return "recv";
  }
  return "?";
}

namespace engine {

std::string MessageCall::text() const {
  return std::string(to_string(kind)) + "(" + std::to_string(count) + " x " +
         std::string(to_string(type)) + (kind == CallKind::send ? ", to " : ", from ") +
         std::to_string(peer) + ", tag " + std::to_string(tag) + ")";
}

std::uint64_t MessageHistory::submit(const MessageCall& call) {
  if (ring_.empty()) ring_.resize(length_);
  ring_[next_ % length_] = {.sequence = next_, .call = call, .submitted = clock_.now()};
  return next_++;
}

void MessageHistory::finish(std::uint64_t sequence, Outcome outcome, Nanoseconds waited) {
  Past& past = ring_[sequence % length_];
  if (past.sequence != sequence) return;  // long ago
  constexpr Nanoseconds kMost = std::numeric_limits<std::uint32_t>::max();
  past.finished = clock_.now();
  past.outcome = outcome;
  past.waited_us = static_cast<std::uint32_t>(std::clamp<Nanoseconds>(waited / 1000, 0, kMost));
}

std::vector<OperationRecord> MessageHistory::records() const {
  using std::chrono::steady_clock;
  const TickClock::Converter convert = clock_.converter();
  const auto time = [&](Ticks ticks) {
    return ticks == 0 ? steady_clock::time_point{}
                      : steady_clock::time_point(std::chrono::nanoseconds(convert(ticks)));
  };
  std::vector<OperationRecord> records;
  for (std::uint64_t s = next_ > length_ ? next_ - length_ : 0; s < next_; ++s) {
    const Past& past = ring_[s % length_];
    OperationRecord record;
    record.sequence = past.sequence;
    record.kind = past.call.kind;
    record.type = past.call.type;
    record.peer = past.call.peer;
    record.tag = past.call.tag;
    record.count = past.call.count;
    record.bytes = past.call.bytes();
    record.submitted = time(past.submitted);
    record.started = record.submitted;  // nothing queues before it but what it is ordered with
    record.finished = time(past.finished);
    record.outcome = past.outcome;
    if (past.waited_us != 0 || past.outcome != Outcome::succeeded) record.waited_for = record.peer;
    record.waited = std::chrono::microseconds(past.waited_us);
    records.push_back(record);
  }
  return records;
}

std::vector<OperationRecord> merged(const std::vector<OperationRecord>& collectives,
                                    const std::vector<OperationRecord>& messages,
                                    std::size_t length) {
  if (messages.empty()) return collectives;
  std::vector<OperationRecord> all(collectives.size() + messages.size());
  std::merge(collectives.begin(), collectives.end(), messages.begin(), messages.end(), all.begin(),
             [](const auto& a, const auto& b) { return a.submitted < b.submitted; });
  if (all.size() > length) {
    all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(length));
  }
  return all;
}

std::string text_of(const OperationRecord& r) {
  if (r.kind != CallKind::collective) {
    return MessageCall{r.kind, r.type, r.peer, r.tag, r.count}.text();
  }
  return Call{r.collective, r.type, r.op, r.algorithm, r.root, r.count}.text();
}

}  // namespace engine
}  // namespace paceline
