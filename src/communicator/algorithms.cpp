// How the cost model's table of choices is made: from what rank 0 has handed out and what the cards
// of all ranks say. Every rank has both alike, and so makes the same table.
#include <algorithm>

#include "communicator/core.h"
#include "communicator/tuning.h"
#include "communicator/wires.h"

namespace paceline {

static_assert(collectives::kMostOfAnInstance == engine::kMaxInstanceBytes,
              "the cost model cuts like the engine");

namespace {

constexpr auto kShm = static_cast<std::uint8_t>(WireNumber::shm);

/// The first wire, from `number` on, that all ranks offer: the one that most pairs take. The last
/// one where there is none.
WireNumber common_wire(const Roster& roster, std::uint8_t number) {
  const auto all_offer = [&roster](std::uint8_t wire) {
    for (int rank = 0; rank < roster.size(); ++rank) {
      if (!roster[rank].wires[wire].offered) return false;
    }
    return true;
  };
  while (number + 1 < kWireCount && !all_offer(number)) ++number;
  return static_cast<WireNumber>(number);
}

/// What a message of any pair can carry, as far as what the ranks offer tells.
EagerBytes longest_eager(const Roster& roster) {
  EagerBytes longest = paceline::longest_eager(WireNumber::tcp);
  for (std::uint8_t wire = 0; wire < kWireCount; ++wire) {
    int offers = 0;
    for (int rank = 0; rank < roster.size(); ++rank) offers += roster[rank].wires[wire].offered;
    const bool alone = wire == kShm && roster.hosts() == roster.size();
    if (offers > 1 && !alone) {
      longest = longest.with(paceline::longest_eager(static_cast<WireNumber>(wire)));
    }
  }
  return longest;
}

}  // namespace

collectives::Policy CommunicatorCore::make_policy() const {
  const WireNumber inside = common_wire(roster_, kShm);
  // Of one host, whether it works is known; of several, that all ranks offer it has to do.
  const bool shared = roster_.hosts() == 1 ? links_->all_mapped() : inside == WireNumber::shm;
  const WireNumber between = common_wire(roster_, kShm + 1);
  const Tuning tuning = tuning_from(roster_[0].tuning);
  const EagerBytes eager = longest_eager(roster_);
  return {.layout = {config_.size, roster_.hosts(), shared, roster_.most_ranks_per_core()},
          .parameters =
              tuning.applied_to(built_in_parameters(shared ? WireNumber::shm : between, between)),
          .rules = tuning.rules,
          .eager_bytes = std::min(config_.eager_bytes, eager.block),
          .eager_piece_bytes = eager.piece_for(roster_.most_ranks_per_core()),
          .algorithm = config_.algorithm,
          .segment_bytes = config_.segment_bytes,
          .lanes = config_.lanes};
}

}  // namespace paceline
