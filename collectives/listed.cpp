#include "collectives/listed.h"

#include <algorithm>

namespace paceline::collectives {

void Listed::add(const Step& step) {
  entries_.push_back({.begin = steps_, .step = step, .operands = operands_.size()});
  ++steps_;
}

void Listed::put(int peer, const Slice& source, const Slice& target) {
  add({.kind = StepKind::put, .peer = peer, .source = source, .target = target});
}

void Listed::signal(int peer) {
  add({.kind = StepKind::signal, .peer = peer});
}

void Listed::wait(int peer, const Slice& target) {
  add({.kind = StepKind::wait, .peer = peer, .target = target});
}

void Listed::reduce(const std::vector<Slice>& sources, const Slice& destination) {
  add({.kind = StepKind::reduce, .sources = static_cast<int>(sources.size()), .destinations = 1});
  operands_.insert(operands_.end(), sources.begin(), sources.end());
  operands_.push_back(destination);
}

void Listed::run(std::uint64_t length) {
  // An empty one has a number, but no step that could be asked for.
  if (length > 0) entries_.push_back({.begin = steps_, .run = runs_});
  ++runs_;
  steps_ += length;
}

std::uint64_t Listed::take_scratch(std::uint64_t length) {
  const std::uint64_t offset = scratch_;
  scratch_ += length;
  return offset;
}

// Without runs every step is an entry.
const Listed::Entry& Listed::entry(std::uint64_t i) const {
  if (runs_ == 0) return entries_[i];
  const auto behind =
      std::upper_bound(entries_.begin(), entries_.end(), i,
                       [](std::uint64_t step, const Entry& one) { return step < one.begin; });
  return *(behind - 1);
}

Step Listed::step(std::uint64_t i) const {
  const Entry& at = entry(i);
  return at.run == kNoRun ? at.step : run_step(at.run, i - at.begin);
}

Operand Listed::source(std::uint64_t i, int j) const {
  const Entry& at = entry(i);
  if (at.run != kNoRun) return {rank_, run_source(at.run, i - at.begin), {}};
  return {rank_, operands_[at.operands + static_cast<std::size_t>(j)], {}};
}

Operand Listed::destination(std::uint64_t i, int) const {
  const Entry& at = entry(i);
  if (at.run != kNoRun) return {rank_, run_destination(at.run, i - at.begin), {}};
  return {rank_, operands_[at.operands + static_cast<std::size_t>(at.step.sources)], {}};
}

Step Listed::run_step(int, std::uint64_t) const {
  return {.kind = StepKind::reduce, .sources = 1, .destinations = 1};
}

// A run of puts and waits has no operands.
Slice Listed::run_source(int, std::uint64_t) const {
  return {};
}

Slice Listed::run_destination(int, std::uint64_t) const {
  return {};
}

}  // namespace paceline::collectives
