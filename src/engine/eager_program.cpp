#include "engine/eager_program.h"

#include <algorithm>
#include <map>

namespace paceline::engine {

namespace {

using collectives::Operand;
using collectives::Slice;
using collectives::Step;
using collectives::StepKind;

Place place_of(const Slice& slice, std::size_t element) {
  return {slice.buffer, static_cast<std::uint32_t>(slice.offset * element)};
}

void compile_reduce(const collectives::Schedule& schedule, std::uint64_t i, const Step& step,
                    int rank, std::size_t element, EagerProgram& program, EagerStep& out) {
  out.first = static_cast<std::uint32_t>(program.operands.size());
  out.last = collectives::gives_results(schedule, i);
  for (int j = 0; j < step.sources; ++j) {
    const Operand operand = schedule.source(i, j);
    const Slice& slice = operand.owner == rank ? operand.slice : operand.fallback;
    program.operands.push_back(place_of(slice, element));
    out.count = static_cast<std::uint32_t>(slice.length);
    ++out.sources;
  }
  for (int j = 0; j < step.destinations; ++j) {
    const Operand operand = schedule.destination(i, j);
    if (operand.owner != rank) continue;
    program.operands.push_back(place_of(operand.slice, element));
    ++out.destinations;
  }
}

bool overlap(const Place& a, std::size_t a_length, const Place& b, std::size_t b_length) {
  return a.buffer == b.buffer && a.offset < b.offset + b_length && b.offset < a.offset + a_length;
}

/// How many operands of `step` read something of what `wait` has brought.
int readers(const EagerProgram& program, const EagerStep& step, const EagerStep& wait,
            std::size_t element) {
  if (step.kind == StepKind::put) {
    return overlap(step.place, step.length, wait.place, wait.length) ? 1 : 0;
  }
  if (step.kind != StepKind::reduce) return 0;
  const auto first = program.operands.begin() + step.first;
  return static_cast<int>(std::count_if(first, first + step.sources, [&](const Place& source) {
    return overlap(source, step.count * element, wait.place, wait.length);
  }));
}

/// What has come need not be copied to scratch if the next step combines it, all of it, and no
/// other reads it before the same place is filled again.
void mark_straight(EagerProgram& program, std::size_t element) {
  std::vector<EagerStep>& steps = program.steps;
  for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
    EagerStep& wait = steps[i];
    const EagerStep& next = steps[i + 1];
    if (wait.kind != StepKind::wait || wait.place.buffer != collectives::Buffer::scratch ||
        wait.length == 0 || next.kind != StepKind::reduce || wait.length != next.count * element ||
        readers(program, next, wait, element) != 1) {
      continue;
    }
    bool again = false;
    for (std::size_t j = i + 2; j < steps.size() && !again; ++j) {
      const EagerStep& later = steps[j];
      if (later.kind == StepKind::wait && later.place == wait.place &&
          later.length == wait.length) {
        break;
      }
      again = readers(program, later, wait, element) != 0;
    }
    const auto first = program.operands.begin() + next.first;
    const auto found = std::find(first, first + next.sources, wait.place);
    if (again || found == first + next.sources) continue;
    wait.straight_into = static_cast<std::uint32_t>(found - first);
  }
}

}  // namespace

EagerProgram compile_eager(const collectives::Schedule& schedule, int rank, const Call& call) {
  const std::size_t element = size_of(call.type);
  EagerProgram program;
  std::map<int, std::uint32_t> sent;
  std::map<int, std::uint32_t> received;
  for (std::uint64_t i = 0; i < schedule.steps(); ++i) {
    const Step step = schedule.step(i);
    if (step.only != collectives::Only::always) continue;  // a message brings what it gives
    EagerStep out;
    out.kind = step.kind;
    out.peer = step.peer;
    std::uint32_t number = 0;  // the how-manieth message with that peer in that direction
    switch (step.kind) {
      case StepKind::put:
        out.place = place_of(step.source, element);
        out.length = static_cast<std::uint32_t>(step.source.length * element);
        number = sent[step.peer]++;
        break;
      case StepKind::signal:
        number = sent[step.peer]++;
        break;
      case StepKind::wait:
        out.place = place_of(step.target, element);
        out.length = static_cast<std::uint32_t>(step.target.length * element);
        number = received[step.peer]++;
        break;
      case StepKind::reduce:
        compile_reduce(schedule, i, step, rank, element, program, out);
        if (out.sources == 2 && out.destinations == 1 && !(out.last && call.op == ReduceOp::avg)) {
          out.pair = memory::pair_reduction(call.type, call.op);
        }
        break;
      case StepKind::flush:
        continue;  // a message is copied when it is sent
    }
    out.header = Header::make(MessageKind::eager, out.length, number, 0, call);
    program.steps.push_back(out);
  }
  mark_straight(program, element);
  return program;
}

}  // namespace paceline::engine
