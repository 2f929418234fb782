// The steps of a small operation with everything that can be known beforehand worked out: what is
// left at run time is base addresses. This is what makes eight bytes cheap.
#pragma once

#include <cstdint>
#include <vector>

#include "collectives/schedule.h"
#include "engine/announcement.h"
#include "engine/call.h"
#include "memory/reduce.h"

namespace paceline::engine {

/// Bytes [offset, offset + length) of one of my own buffers.
struct Place {
  collectives::Buffer buffer = collectives::Buffer::input;
  std::uint32_t offset = 0;
  bool operator==(const Place&) const = default;
};

struct EagerStep {
  collectives::StepKind kind = collectives::StepKind::flush;
  std::int32_t peer = -1;
  /// put: what is sent. wait: where it goes.
  Place place = {};
  std::uint32_t length = 0;  ///< bytes
  /// wait: which source of the reduce that comes next is what has come, and is needed nowhere else:
  /// then it stays in the mailbox until it has been combined. kCopied: it goes to `place`.
  std::uint32_t straight_into = kCopied;
  static constexpr std::uint32_t kCopied = ~std::uint32_t{0};
  // reduce: operands [first, first + sources) and the destinations behind them; elements.
  std::uint32_t first = 0;
  std::uint32_t sources = 0;
  std::uint32_t destinations = 0;
  std::uint32_t count = 0;
  bool last = false;  ///< the result is whole
  /// put, signal, wait: of the message, but for the sequence number of the operation.
  Header header = {};
  /// Of two sources into one destination, if there is something quicker for that; else null.
  memory::PairReduction pair = nullptr;
};

struct EagerProgram {
  std::vector<EagerStep> steps;
  std::vector<Place> operands;
};

/// Lowers a schedule for messages: nothing is mapped, every put carries its data, and operands
/// that other ranks own become their fallbacks or are dropped.
EagerProgram compile_eager(const collectives::Schedule& schedule, int rank, const Call& call);

}  // namespace paceline::engine
