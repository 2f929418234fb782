// A schedule of a few ranks as a part of a schedule of many: its steps and operands with the names
// that ranks and slices have in the whole.
#pragma once

#include "collectives/schedule.h"

namespace paceline::collectives {

/// What the members of the embedded schedule, its ranks 0, 1, ..., have in the whole.
class Names {
 public:
  [[nodiscard]] virtual int rank(int member) const = 0;
  /// That slice of a member's: its input, output and scratch may lie anywhere in the whole.
  [[nodiscard]] virtual Slice slice(int member, const Slice& slice) const = 0;

 protected:
  ~Names() = default;
};

/// A step, and an operand of a reduce, of member `self`.
inline Step renamed(Step step, int self, const Names& names) {
  const bool theirs = step.kind == StepKind::put || step.kind == StepKind::signal;
  if (step.peer >= 0) {
    step.target = names.slice(theirs ? step.peer : self, step.target);
    step.peer = names.rank(step.peer);
  }
  if (step.kind == StepKind::put) step.source = names.slice(self, step.source);
  step.kept = kNowhere;  // the whole keeps nothing
  return step;
}

inline Operand renamed(const Operand& operand, int self, const Names& names) {
  return {names.rank(operand.owner), names.slice(operand.owner, operand.slice),
          operand.owner == self ? Slice{} : names.slice(self, operand.fallback)};
}

}  // namespace paceline::collectives
