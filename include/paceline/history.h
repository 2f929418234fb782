// What a communicator remembers of its last calls.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "paceline/error.h"
#include "paceline/export.h"
#include "paceline/types.h"

namespace paceline {

/// How far a call has come.
enum class Outcome : std::uint8_t {
  queued,     ///< calls before it are not finished
  running,    ///< under way
  succeeded,  ///< finished
  failed,     ///< ended by the communicator's Error
};

PACELINE_API std::string_view to_string(Outcome outcome);

/// What was called.
enum class CallKind : std::uint8_t {
  collective,
  send,
  recv,
};

/// "collective", "send", "recv".
PACELINE_API std::string_view to_string(CallKind kind);

/// One call of one rank. Times are this process's; those that have not come are zero.
struct OperationRecord {
  /// The how-manieth call on the communicator, from 0. Sends and recvs are counted by themselves,
  /// together: their numbers say nothing about other ranks'.
  std::uint64_t sequence = 0;
  Collective collective = Collective::barrier;
  DataType type = DataType::float32;
  ReduceOp op = ReduceOp::sum;
  Algorithm algorithm = Algorithm::automatic;
  int root = 0;
  std::uint64_t count = 0;                               ///< elements
  std::uint64_t bytes = 0;                               ///< count times the size of an element
  std::chrono::steady_clock::time_point submitted = {};  ///< the call was made
  std::chrono::steady_clock::time_point started = {};    ///< all calls before it were finished
  /// Of a call that hardly waited, and so took less than about a microsecond, an estimate.
  std::chrono::steady_clock::time_point finished = {};
  Outcome outcome = Outcome::queued;
  /// The peer that it waited for longest, once nothing had moved for a while; else the one that it
  /// waited for last; Error::kNoRank if it hardly waited at all.
  int waited_for = Error::kNoRank;
  /// How long that was, to about 0.1 ms; 0 if it was too short to be looked at.
  std::chrono::microseconds waited{0};
  /// Of a send or recv, which has no collective, op, algorithm or root, but these.
  CallKind kind = CallKind::collective;
  int peer = Error::kNoRank;
  int tag = 0;
};

enum class HistoryFormat : std::uint8_t {
  json,          ///< one object: who and when, and an array of the calls
  chrome_trace,  ///< for chrome://tracing and Perfetto
};

}  // namespace paceline
