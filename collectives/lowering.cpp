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

/// Whether a slice that an owner has given is kept by it, and not where it was to go. Both ends ask
/// this one question.
bool is_kept(const Slice& target, Reach output, std::uint64_t kept, bool keeps) {
  if (!keeps || kept == kNowhere || target.buffer == Buffer::input) return false;
  return target.buffer == Buffer::scratch || output == Reach::staged;
}

}  // namespace

EdgeReach mirrored(const EdgeReach& edge) {
  return {.my_input = edge.peer_input,
          .my_output = edge.peer_output,
          .my_scratch = edge.peer_scratch,
          .peer_input = edge.my_input,
          .peer_output = edge.my_output,
          .peer_scratch = edge.my_scratch,
          .shortest_fetched = edge.shortest_fetched,
          .i_keep = edge.peer_keeps,
          .peer_keeps = edge.i_keep};
}

LoweredPut lower_put(const Step& put, const EdgeReach& edge) {
  const bool keeps = put.elidable && is_kept(put.target, edge.peer_output, put.kept, edge.i_keep);
  if (keeps) {
    const bool needless =
        put.target.buffer == Buffer::output || can_be_loaded(mine(edge, put.source.buffer));
    return {.carries_data = false, .into_kept = !needless};
  }
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
  if (wait.target.buffer == Buffer::output &&
      is_kept(wait.target, edge.my_output, wait.kept, edge.peer_keeps)) {
    return LoweredWait::load;
  }
  return filling(wait.target, edge.my_output, edge.shortest_fetched);
}

bool takes_place(const Step& step, const EdgeReach& edge) {
  const bool i_load = step.kind == StepKind::signal;
  const bool keeps = i_load ? edge.peer_keeps : edge.i_keep;
  switch (step.only) {
    case Only::always:
      break;
    case Only::if_input_loaded:
      return keeps || can_be_loaded(i_load ? edge.peer_input : edge.my_input);
    case Only::if_result_loaded:
      return keeps && (i_load ? edge.my_output : edge.peer_output) == Reach::staged;
  }
  return true;
}

LoweredOperand lower_source(const Operand& operand, const EdgeReach& edge) {
  if (can_be_loaded(peers(edge, operand.slice.buffer))) return LoweredOperand::direct;
  return edge.peer_keeps && operand.kept != kNowhere ? LoweredOperand::kept
                                                     : LoweredOperand::fallback;
}

LoweredOperand lower_destination(const Operand& operand, const EdgeReach& edge) {
  if (peers(edge, operand.slice.buffer) == Reach::mapped) return LoweredOperand::direct;
  if (is_kept(operand.slice, edge.peer_output, operand.kept, edge.i_keep)) {
    return LoweredOperand::kept;
  }
  if (operand.slice.buffer == Buffer::output && stores_results(edge)) {
    return LoweredOperand::shadow;
  }
  return LoweredOperand::dropped;
}

}  // namespace paceline::collectives
