// The flight recorder of sends and recvs: as history.h, but they end in any order.
//
// Threads: the owner of progress only.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/ticks.h"
#include "engine/message_call.h"
#include "paceline/history.h"

namespace paceline::engine {

class MessageHistory {
 public:
  explicit MessageHistory(std::size_t length) : length_(length) {}

  /// The next call is made; its number.
  std::uint64_t submit(const MessageCall& call);
  /// `waited`: how long it had last not moved, as far as anybody looked.
  void finish(std::uint64_t sequence, Outcome outcome, Nanoseconds waited);

  /// Oldest first.
  [[nodiscard]] std::vector<OperationRecord> records() const;

 private:
  struct Past {
    std::uint64_t sequence = Error::kNoSequence;
    MessageCall call = {};
    Ticks submitted = 0;
    Ticks finished = 0;  ///< 0: not yet
    std::uint32_t waited_us = 0;
    Outcome outcome = Outcome::running;
  };
  std::size_t length_;
  std::vector<Past> ring_;  ///< empty until the first call: most communicators have none
  std::uint64_t next_ = 0;
  TickClock clock_;
};

/// Both kinds of calls in the order in which they were made, the last `length` of them.
std::vector<OperationRecord> merged(const std::vector<OperationRecord>& collectives,
                                    const std::vector<OperationRecord>& messages,
                                    std::size_t length);

/// What was called, as in messages: "all_reduce(1024 x float32, sum)", "recv(3 x int64, from 0,
/// ...".
std::string text_of(const OperationRecord& record);

}  // namespace paceline::engine
