#include "engine/eager_run.h"

#include "base/copy.h"

namespace paceline::engine {

using collectives::StepKind;

bool EagerRun::advance() {
  const std::vector<EagerStep>& steps = operation_.plan_->eager_program().steps;
  const std::size_t count = steps.size();
  std::size_t& next = operation_.eager_step_;
  const std::size_t before = next;
  for (; next < count; ++next) {
    const EagerStep& step = steps[next];
    bool taken = true;
    switch (step.kind) {
      case StepKind::put:
        taken = send(step, at(step.place));
        break;
      case StepKind::signal:
        taken = send(step, nullptr);
        break;
      case StepKind::wait:
        engine_.record_first(operation_);
        if (step.straight_into != EagerStep::kCopied) {
          taken = combine_straight(step, steps[next + 1]);
          if (taken) ++next;  // two steps in one
        } else {
          taken = receive(step, at(step.place));
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
      return next != before;
    }
  }
  engine_.record_first(operation_);
  operation_.phase_ = Phase::flushing;
  return true;
}

bool EagerRun::send(const EagerStep& step, const std::byte* payload) {
  const Header header = step.header.of(operation_.sequence_);
  return engine_.edge(step.peer).endpoint->send(header.bytes(), {payload, step.length});
}

const std::byte* EagerRun::arrived(const EagerStep& step, Edge& edge) {
  const ConstBytes message = edge.endpoint->front();
  if (message.empty()) return nullptr;
  if (message.size() != kHeaderBytes + step.length ||
      Header::read(message.data()) != step.header.of(operation_.sequence_)) {
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
    copy_bytes(at(wait.place), payload, wait.length);
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
    const auto place = [&](std::uint32_t j) { return j == taken ? payload : at(operand[j]); };
    std::byte* const to = at(operand[2]);
    return step.pair(place(0), place(1), to, step.count);
  }
  auto& sources = engine_.sources_;
  auto& destinations = engine_.destinations_;
  sources.clear();
  destinations.clear();
  for (std::uint32_t j = 0; j < step.sources; ++j, ++operand) {
    sources.push_back(at(*operand));
  }
  if (straight != nullptr) sources[straight->straight_into] = payload;
  for (std::uint32_t j = 0; j < step.destinations; ++j, ++operand) {
    destinations.push_back(at(*operand));
  }
  engine_.combine(operation_, step.count, step.last);
}

}  // namespace paceline::engine
