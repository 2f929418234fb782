// What is given and kept by the giver, for the receiver to load (collectives/schedule.h,
// "Keeping").
//
// It pays where a line that a core loads out of another core's cache is its own from then on: then
// whoever has loaded a slot writes to it next without asking anybody, and each line crosses from
// core to core once for each time that it carries something. So the slots are always the same
// memory, and not laps of it (rotating_memory.h).
//
// Endpoints know whether it pays, from how long their own stores take. Since a store goes into the
// other end's scratch, both ends must do the same: if one of them went back to laps alone, its own
// stores would still go to the same lines. So a rank says in each announcement whether it would
// like to keep (its own endpoints do), and keeps if it likes to and all peers of the operation said
// so when they were last heard. What they said then may have changed since: an edge keeps if both
// of its ends do.
#include "engine/put_run.h"

namespace paceline::engine {

using collectives::Buffer;
using collectives::Keeping;

void PutRun::agree_to_keep(Edge& edge) const {
  edge.keeps = edge.ours.keeps && edge.theirs.keeps;
  if (!edge.keeps) return;
  edge.slot_uses = edge.next_slot_uses;
  edge.next_slot_uses =
      operation_.schedule_->keeping() == Keeping::always
          ? 0
          : edge.slot_uses + (operation_.instances_ + scratches() - 1) / scratches();
}

// Both ends count alike what they have used, so that one does not put where the other keeps.
bool PutRun::keeps(const Edge& edge, std::uint64_t instance) const {
  if (operation_.schedule_->keeping() == Keeping::always) return true;
  return (edge.slot_uses + instance / scratches()) % 2 == 1;
}

// Null: not yet.
const std::byte* PutRun::kept_by(Edge& edge, std::uint64_t kept, std::uint64_t count,
                                 std::uint64_t instance) {
  if (!map(edge, Buffer::scratch)) return nullptr;
  require_scratch(edge, bytes(kept + count), edge.theirs.shadow_offset);
  return theirs(edge, instance).scratch + bytes(kept);
}

}  // namespace paceline::engine
