// Who is to blame when an operation does not go on: a pure function of what all ranks say.
//
// The causes, in the order in which they are looked for; the first that is found explains the rest:
//   1  ranks called different things: from the first call on which they differ, both are named
//   2  ranks have left the communicator, as a neighbour of theirs knows
//   3  ranks do not answer at all: stopped, or their host is cut off
//   4  ranks have not made the call, and are outside the library: since when, and after which call
//   5  every rank is inside: the chain of who waits for whom is followed. It ends at a rank that is
//      still moving (slow), at one that has finished (what it sent has not arrived), or in a circle
//      (what some of them sent has not arrived)
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "communicator/testimony.h"
#include "engine/message_call.h"
#include "paceline/error.h"

namespace paceline {

struct Verdict {
  ErrorCode code = ErrorCode::timeout;
  int culprit = Error::kNoRank;
  std::string text = {};
};

/// Everything a verdict is made from.
struct Hang {
  int asker = 0;               ///< whose deadline has passed
  std::uint64_t sequence = 0;  ///< in which call
  engine::Call call = {};
  Nanoseconds waited = 0;
  std::vector<std::optional<Testimony>> ranks = {};  ///< by rank; nothing: no answer
  std::function<std::string(int)> name = {};         ///< "rank 3 (node7, pid 4711)"
};

Verdict judge(const Hang& hang);

/// The same for a wire that has broken, before a deadline: one of the first two causes, or nothing,
/// and then the wire itself is to blame (or a death, which the control links tell of).
std::optional<Verdict> judge_broken_wire(const Hang& hang);

/// Likewise of a send or recv whose deadline has passed.
struct MessageHang {
  int asker = 0;
  engine::MessageCall call = {};
  Nanoseconds waited = 0;
  std::string awaited = {};  ///< "rank 1 (node7, pid 4711) to call send(to 0, tag 7)"
  std::vector<std::optional<Testimony>> ranks = {};
  std::function<std::string(int)> name = {};
};

/// verdict_message.cpp
Verdict judge_message(const MessageHang& hang);

/// How far everybody is, a line however many ranks: "ranks 0-2 are in call #7; rank 3 is done
/// with call #6".
std::string progress_text(const std::vector<std::optional<Testimony>>& ranks);

/// "rank 3", "ranks 0, 2 and 5-9".
std::string rank_list(const std::vector<int>& ranks);

/// "12 s", "1.5 s", "250 ms".
std::string duration_text(Nanoseconds time);

}  // namespace paceline
