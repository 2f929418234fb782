#include "engine/history.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace paceline {

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::queued:
      return "queued";
    case Outcome::running:
      return "running";
    case Outcome::succeeded:
      return "succeeded";
    case Outcome::failed:
      return "failed";
  }
  return "?";
}

namespace engine {

namespace {

/// What a call is said to have taken that was done before anybody looked at the clock: about what
/// the smallest take.
constexpr auto kQuickTime = std::chrono::nanoseconds(500);

}  // namespace

History::History(std::size_t length)
    : length_(std::max<std::size_t>(length, 1)),
      ring_(std::bit_ceil(length_)),
      mask_(ring_.size() - 1) {}

void History::finish_slowly(std::uint64_t sequence, int waited_for, Outcome outcome) {
  const Ticks now = clock_.now();
  PastCall& past = slot(sequence);
  if (past.sequence == sequence) {
    if (past.started == 0 && past.outcome == Outcome::running) past.started = past.submitted;
    past.finished = now;
    past.outcome = outcome;
    if (past.waited_us == 0) past.waited_for = waited_for;
  }
  PastCall& next = slot(sequence + 1);
  if (outcome != Outcome::succeeded || next.sequence != sequence + 1) return;
  if (next.outcome != Outcome::queued) return;
  next.started = now;
  next.outcome = Outcome::running;
}

void History::waited(std::uint64_t sequence, int peer, Nanoseconds time) {
  PastCall& past = slot(sequence);
  constexpr Nanoseconds kMost = std::numeric_limits<std::uint32_t>::max();
  const auto us = static_cast<std::uint32_t>(std::clamp<Nanoseconds>(time / 1000, 0, kMost));
  if (past.sequence != sequence || us <= past.waited_us) return;
  past.waited_us = us;
  past.waited_for = peer;
}

std::vector<OperationRecord> History::records() const {
  using std::chrono::steady_clock;
  const TickClock::Converter convert = clock_.converter();
  const auto time = [&](Ticks ticks) {
    if (ticks == 0) return steady_clock::time_point{};
    return steady_clock::time_point(std::chrono::nanoseconds(convert(ticks)));
  };
  std::vector<OperationRecord> records;
  const std::uint64_t first = next_ > length_ ? next_ - length_ : 0;
  for (std::uint64_t sequence = first; sequence < next_; ++sequence) {
    const PastCall& past = *at(sequence);
    const Call& call = past.call;
    OperationRecord record{
        sequence,       call.collective, call.type,  call.op,
        call.algorithm, call.root,       call.count, call.count * size_of(call.type)};
    record.submitted = time(past.submitted);
    const bool at_once = past.started == 0 && past.outcome == Outcome::running;
    record.started = at_once ? record.submitted : time(past.started);
    record.finished = time(past.finished);
    record.outcome = past.outcome;
    record.waited_for = past.waited_for;
    record.waited = std::chrono::microseconds(past.waited_us);
    if (past.outcome == Outcome::running && sequence < finished_) {
      record.outcome = Outcome::succeeded;
      record.finished = record.started + kQuickTime;
      if (const PastCall* next = at(sequence + 1)) {
        record.finished = std::min(record.finished, time(next->submitted));
      }
    }
    records.push_back(record);
  }
  return records;
}

}  // namespace engine
}  // namespace paceline
