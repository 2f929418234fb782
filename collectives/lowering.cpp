#include "collectives/lowering.h"

namespace paceline::collectives {
namespace {

Reach mine(const EdgeReach& edge, Buffer buffer) {
  switch (buffer) {
    case Buffer::input:
      return edge.my_input;
    case Buffer::output:
      return edge.my_output;
    case Buffer::scratch:
      return edge.my_scratch;
  }
  return Reach::staged;
}

Reach peers(const EdgeReach& edge, Buffer buffer) {
  return mine(mirrored(edge), buffer);
}

/// How a slice that is put into gets what is put there. Both ends ask this one question, of the
/// same slice.
LoweredWait filling(const Slice& target, Reach output, std::uint64_t shortest_fetched) {
  if (target.buffer != Buffer::output || target.length == 0) return LoweredWait::nothing;
  switch (output) {
    case Reach::mapped:
    case Reach::puttable:
      return LoweredWait::nothing;
    case Reach::staged:
      return LoweredWait::copy;
    case Reach::fetched:
    case Reach::pulled:
      return target.length < shortest_fetched ? LoweredWait::copy : LoweredWait::fetch;
  }
  return LoweredWait::nothing;
}

bool can_be_loaded(Reach reach) {
  return reach == Reach::mapped || reach == Reach::pulled;
}

/// Whether a reduce on this side stores results into the peer's output or its shadow. The shadow
/// lies behind the scratch and is reached as that is.
bool stores_results(const EdgeReach& edge) {
  return edge.peer_output == Reach::mapped ||
         (edge.peer_output == Reach::staged && edge.peer_scratch == Reach::mapped);
}

}  // namespace

EdgeReach mirrored(const EdgeReach& edge) {
  return {.my_input = edge.peer_input,
          .my_output = edge.peer_output,
          .my_scratch = edge.peer_scratch,
          .peer_input = edge.my_input,
          .peer_output = edge.my_output,
          .peer_scratch = edge.my_scratch,
          .shortest_fetched = edge.shortest_fetched};
}

LoweredPut lower_put(const Step& put, const EdgeReach& edge) {
  const LoweredWait filled = filling(put.target, edge.peer_output, edge.shortest_fetched);
  LoweredPut lowered{.carries_data = put.kind == StepKind::put,
                     .into_shadow = filled != LoweredWait::nothing,
                     .by_reference = filled == LoweredWait::fetch};
  if (put.elidable) {
    const bool needless = put.target.buffer == Buffer::output
                              ? stores_results(edge)
                              : can_be_loaded(mine(edge, put.source.buffer));
    if (needless) lowered.carries_data = false;
  }
  return lowered;
}

LoweredWait lower_wait(const Step& wait, const EdgeReach& edge) {
  return filling(wait.target, edge.my_output, edge.shortest_fetched);
}

LoweredOperand lower_source(const Operand& operand, const EdgeReach& edge) {
  return can_be_loaded(peers(edge, operand.slice.buffer)) ? LoweredOperand::direct
                                                          : LoweredOperand::fallback;
}

LoweredOperand lower_destination(const Operand& operand, const EdgeReach& edge) {
  if (peers(edge, operand.slice.buffer) == Reach::mapped) return LoweredOperand::direct;
  if (operand.slice.buffer == Buffer::output && stores_results(edge)) {
    return LoweredOperand::shadow;
  }
  return LoweredOperand::dropped;
}

}  // namespace paceline::collectives
