#include "engine/eager_program.h"

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

}  // namespace

EagerProgram compile_eager(const collectives::Schedule& schedule, int rank, std::size_t element) {
  EagerProgram program;
  std::map<int, std::uint32_t> sent;
  std::map<int, std::uint32_t> received;
  for (std::uint64_t i = 0; i < schedule.steps(); ++i) {
    const Step step = schedule.step(i);
    EagerStep out;
    out.kind = step.kind;
    out.peer = step.peer;
    switch (step.kind) {
      case StepKind::put:
        out.place = place_of(step.source, element);
        out.length = static_cast<std::uint32_t>(step.source.length * element);
        out.number = sent[step.peer]++;
        break;
      case StepKind::signal:
        out.number = sent[step.peer]++;
        break;
      case StepKind::wait:
        out.place = place_of(step.target, element);
        out.length = static_cast<std::uint32_t>(step.target.length * element);
        out.number = received[step.peer]++;
        break;
      case StepKind::reduce:
        compile_reduce(schedule, i, step, rank, element, program, out);
        break;
      case StepKind::flush:
        continue;  // a message is copied when it is sent
    }
    program.steps.push_back(out);
  }
  return program;
}

}  // namespace paceline::engine
