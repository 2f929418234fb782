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

History::History(std::size_t length)
    : length_(std::max<std::size_t>(length, 1)),
      ring_(std::bit_ceil(length_)),
      mask_(ring_.size() - 1) {}

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
    records.push_back({sequence, call.collective, call.type, call.op, call.algorithm, call.root,
                       call.count, call.count * size_of(call.type), time(past.submitted),
                       time(past.started), time(past.finished), past.outcome, past.waited_for,
                       std::chrono::microseconds(past.waited_us)});
  }
  return records;
}

}  // namespace engine
}  // namespace paceline
