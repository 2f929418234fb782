#include "engine/eager_run.h"

#include <cstring>

#include "base/copy.h"

namespace paceline::engine {

using collectives::Buffer;
using collectives::StepKind;

std::byte* EagerRun::base(Buffer buffer) const {
  switch (buffer) {
    case Buffer::input:
      // Steps never write to the input; the cast only lets one table serve sources and targets.
      return const_cast<std::byte*>(operation_.input_);
    case Buffer::output:
      return operation_.output_;
    case Buffer::scratch:
      break;
  }
  return operation_.scratch_;
}

bool EagerRun::advance() {
  const EagerProgram& program = operation_.plan_->eager_program();
  std::size_t& at = operation_.eager_step_;
  const std::size_t before = at;
  for (; at < program.steps.size(); ++at) {
    const EagerStep& step = program.steps[at];
    bool taken = true;
    switch (step.kind) {
      case StepKind::put:
        taken = send(step, base(step.place.buffer) + step.place.offset);
        break;
      case StepKind::signal:
        taken = send(step, nullptr);
        break;
      case StepKind::wait:
        engine_.record_first(operation_);
        if (step.straight_into != EagerStep::kCopied) {
          taken = combine_straight(step, program.steps[at + 1]);
          if (taken) ++at;  // two steps in one
        } else {
          taken = receive(step, base(step.place.buffer) + step.place.offset);
        }
        break;
      case StepKind::reduce:
        reduce(step);
        break;
      case StepKind::flush:
        break;
    }
    if (!taken) {
      engine_.record_first(operation_);
      operation_.waiting_for_ = step.peer;
      return at != before;
    }
  }
  engine_.record_first(operation_);
  operation_.phase_ = Phase::flushing;
  return true;
}

bool EagerRun::send(const EagerStep& step, const std::byte* payload) {
  const Header header = Header::make(MessageKind::eager, step.length, step.number,
                                     operation_.sequence_, operation_.call());
  return engine_.edge(step.peer).endpoint->send(header.bytes(), {payload, step.length});
}

const std::byte* EagerRun::arrived(const EagerStep& step, Edge& edge) {
  const ConstBytes message = edge.endpoint->front();
  if (message.empty()) return nullptr;
  const Header expected = Header::make(MessageKind::eager, step.length, step.number,
                                       operation_.sequence_, operation_.call());
  if (message.size() != kHeaderBytes + step.length ||
      std::memcmp(message.data(), expected.words, kHeaderBytes) != 0) {
    if (engine_.take_cell(edge)) return arrived(step, edge);
    engine_.refuse(operation_, edge, message);
  }
  return message.data() + kHeaderBytes;
}

bool EagerRun::receive(const EagerStep& step, std::byte* target) {
  Edge& edge = engine_.edge(step.peer);
  const std::byte* const payload = arrived(step, edge);
  if (payload == nullptr) return false;
  copy_bytes(target, payload, step.length);
  edge.endpoint->pop();
  return true;
}

// A wait and the reduce after it, which takes its source out of the mailbox.
bool EagerRun::combine_straight(const EagerStep& wait, const EagerStep& step) {
  Edge& edge = engine_.edge(wait.peer);
  const std::byte* const payload = arrived(wait, edge);
  if (payload == nullptr) return false;
  const std::size_t element = size_of(operation_.call().type);
  if ((reinterpret_cast<std::uintptr_t>(payload) & (element - 1)) == 0) {
    reduce(step, &wait, payload);
  } else {  // a wire's mailbox need not be aligned
    copy_bytes(base(wait.place.buffer) + wait.place.offset, payload, wait.length);
    reduce(step);
  }
  edge.endpoint->pop();
  return true;
}

void EagerRun::reduce(const EagerStep& step, const EagerStep* straight, const std::byte* payload) {
  if (step.destinations == 0 || step.count == 0) return;
  const Place* operand = operation_.plan_->eager_program().operands.data() + step.first;
  if (step.pair != nullptr) {
    const std::uint32_t taken = straight == nullptr ? EagerStep::kCopied : straight->straight_into;
    const auto place = [&](std::uint32_t j) {
      return j == taken ? payload : base(operand[j].buffer) + operand[j].offset;
    };
    std::byte* const to = base(operand[2].buffer) + operand[2].offset;
    return step.pair(place(0), place(1), to, step.count);
  }
  auto& sources = engine_.sources_;
  auto& destinations = engine_.destinations_;
  sources.clear();
  destinations.clear();
  for (std::uint32_t j = 0; j < step.sources; ++j, ++operand) {
    sources.push_back(base(operand->buffer) + operand->offset);
  }
  if (straight != nullptr) sources[straight->straight_into] = payload;
  for (std::uint32_t j = 0; j < step.destinations; ++j, ++operand) {
    destinations.push_back(base(operand->buffer) + operand->offset);
  }
  engine_.combine(operation_, step.count, step.last);
}

}  // namespace paceline::engine
