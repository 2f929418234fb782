// What one rank says of itself when the others, or somebody from outside, ask what it is doing.
// Taken by the service thread from the engine's vitals, without stopping anybody.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/wire.h"
#include "engine/vitals.h"

namespace paceline {

struct Testimony {
  std::uint64_t entered = 0;   ///< calls made
  std::uint64_t finished = 0;  ///< how many of them are finished; always the first ones
  std::map<std::uint64_t, engine::Call> calls = {};  ///< the latest, by number
  /// Where the call in front stands, if there is one; `since` is an age here.
  engine::Vitals::Stand stand = {};
  /// The send or recv that has waited longest: "recv(3 x int64, from 0, tag 7)"; empty: none waits.
  std::string message = {};
  int message_peer = Error::kNoRank;
  Nanoseconds message_waited = 0;
  std::string wire = {};      ///< which leads to stand.waiting_for
  Nanoseconds quiet_for = 0;  ///< no call of any kind was made or finished for at least this long
  bool failed = false;
  std::vector<int> departed = {};  ///< ranks that have said goodbye to this one, ascending

  [[nodiscard]] bool inside() const { return entered > finished; }
  /// The number of the call that it is in, or would make next.
  [[nodiscard]] std::uint64_t at() const { return finished; }

  [[nodiscard]] Bytes write() const;
  /// Nothing if the bytes are not a testimony.
  static std::optional<Testimony> read(ConstBytes bytes);
};

/// Fills what the engine knows. Any thread.
Testimony take_testimony(const engine::Vitals& vitals, Nanoseconds now);

}  // namespace paceline
