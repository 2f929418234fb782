#include "collectives/verifier_slices.h"

#include <algorithm>

namespace paceline::collectives::verifier {
namespace {

std::string_view name(Buffer buffer) {
  switch (buffer) {
    case Buffer::input:
      return "input";
    case Buffer::output:
      return "output";
    case Buffer::scratch:
      return "scratch";
  }
  return "a buffer that does not exist";
}

std::string number(std::uint64_t n) {
  return std::to_string(n);
}
std::string rank_text(int rank) {
  return "rank " + std::to_string(rank);
}

}  // namespace

std::string describe(const Slice& slice) {
  return std::string(name(slice.buffer)) + " [" + number(slice.offset) + ", " +
         number(slice.offset + slice.length) + ")";
}

std::string describe(const Step& step) {
  switch (step.kind) {
    case StepKind::put:
      return std::string(step.elidable ? "elidable " : "") + "put to " + rank_text(step.peer) +
             " of " + describe(step.source) + " into its " + describe(step.target);
    case StepKind::signal:
      return "signal to " + rank_text(step.peer);
    case StepKind::wait:
      return "wait for " + rank_text(step.peer) + " to fill " + describe(step.target);
    case StepKind::reduce:
      return "reduce of " + std::to_string(step.sources) + " into " +
             std::to_string(step.destinations);
    case StepKind::flush:
      return "flush";
  }
  return "a step that does not exist";
}

void Cuts::sort() {
  std::sort(boundaries_.begin(), boundaries_.end());
  boundaries_.erase(std::unique(boundaries_.begin(), boundaries_.end()), boundaries_.end());
  sorted_ = boundaries_.size();
}

std::size_t Cuts::index(std::uint64_t boundary) const {
  // Chunks and slots of one length put the boundaries at its multiples.
  const std::uint64_t guess = boundaries_.size() > 1 ? boundary / boundaries_[1] : 0;
  if (guess < boundaries_.size() && boundaries_[guess] == boundary) return guess;
  return static_cast<std::size_t>(
      std::lower_bound(boundaries_.begin(), boundaries_.end(), boundary) - boundaries_.begin());
}

Layout::Layout(Collective collective, const Shape& shape,
               const std::vector<std::unique_ptr<Schedule>>& schedules)
    : collective_(collective), shape_(shape), schedules_(schedules), block_(shape.count) {
  for (const auto& schedule : schedules_) {
    scratch_length_.push_back(schedule->scratch());
    scratch_.emplace_back(schedule->scratch());
  }
  for (int rank = 0; rank < shape_.size; ++rank) {
    const std::uint64_t steps = schedules_[static_cast<std::size_t>(rank)]->steps();
    for (std::uint64_t i = 0; i < steps; ++i) {
      relate(rank, i);
      for (const OwnedSlice& one : related_) {
        if (one.slice.length != related_.front().slice.length) {
          fail(rank, i,
               "relates " + describe(related_.front().slice) + " and " + describe(one.slice) +
                   ", which differ in length");
        }
        if (one.slice.length == 0) continue;
        Cuts& cut = cuts(one.owner, one.slice.buffer);
        cut.add(begin(one.slice));
        cut.add(begin(one.slice) + one.slice.length);
      }
    }
  }
  sort();
}

std::uint64_t Layout::blocks(int owner, Buffer buffer) const {
  const Blocks blocks = blocks_of(collective_, shape_, owner);
  switch (buffer) {
    case Buffer::input:
      return static_cast<std::uint64_t>(blocks.input);
    case Buffer::output:
      return static_cast<std::uint64_t>(blocks.output);
    case Buffer::scratch:
      break;
  }
  return 1;
}

std::uint64_t Layout::length_of(int owner, Buffer buffer) const {
  return buffer == Buffer::scratch ? scratch_length_[static_cast<std::size_t>(owner)]
                                   : blocks(owner, buffer) * shape_.count;
}

std::size_t Layout::cells(int owner, Buffer buffer) const {
  return blocks(owner, buffer) * cuts(owner, buffer).cells();
}

CellRange Layout::range(const OwnedSlice& of) const {
  const Slice& slice = of.slice;
  if (slice.length == 0) return {};
  const Cuts& cut = cuts(of.owner, slice.buffer);
  const std::size_t first = cut.index(begin(slice));
  const std::size_t count = cut.index(begin(slice) + slice.length) - first;
  const std::uint64_t block = slice.buffer == Buffer::scratch ? 0 : slice.offset / shape_.count;
  return {static_cast<std::size_t>(block) * cut.cells() + first, count};
}

Slice Layout::slice(int owner, Buffer buffer, std::size_t cell) const {
  const Cuts& cut = cuts(owner, buffer);
  const std::size_t k = cell % cut.cells();
  const std::uint64_t block = cell / cut.cells();
  return {buffer, block * shape_.count + cut.at(k), cut.at(k + 1) - cut.at(k)};
}

void Layout::fail(int rank, std::uint64_t i, const std::string& what) const {
  const Step step = schedules_[static_cast<std::size_t>(rank)]->step(i);
  throw Violation{rank_text(rank) + ", step " + number(i) + " (" + describe(step) + "): " + what};
}

void Layout::check(int rank, std::uint64_t i, const OwnedSlice& one, bool written) const {
  if (one.owner < 0 || one.owner >= shape_.size) {
    fail(rank, i,
         rank_text(one.owner) + " does not exist; there are " + std::to_string(shape_.size) +
             " ranks");
  }
  if (written && one.slice.buffer == Buffer::input) {
    fail(rank, i, "writes into the " + describe(one.slice) + " of " + rank_text(one.owner));
  }
  const std::uint64_t limit = length_of(one.owner, one.slice.buffer);
  if (one.slice.offset > limit || one.slice.length > limit - one.slice.offset) {
    fail(rank, i,
         describe(one.slice) + " of " + rank_text(one.owner) + " is out of bounds: there are " +
             number(limit) + " elements");
  }
  if (one.slice.buffer != Buffer::scratch && one.slice.length > 0 &&
      begin(one.slice) + one.slice.length > shape_.count) {
    fail(rank, i, describe(one.slice) + " lies in more than one block of " + number(shape_.count));
  }
}

void Layout::relate(int rank, std::uint64_t i) {
  related_.clear();
  const Step step = schedules_[static_cast<std::size_t>(rank)]->step(i);
  const auto kept = [&](const Slice& slice) {
    return Slice{Buffer::scratch, step.kept, slice.length};
  };
  const auto add = [&](int owner, const Slice& slice, bool written) {
    related_.push_back({owner, slice});
    check(rank, i, related_.back(), written);
  };
  switch (step.kind) {
    case StepKind::put:
      add(rank, step.source, false);
      add(step.peer, step.target, true);
      if (step.kept != kNowhere) add(rank, kept(step.source), true);
      break;
    case StepKind::signal:
      add(step.peer, step.target, step.target.length > 0);
      break;
    case StepKind::wait:
      add(rank, step.target, step.target.length > 0);
      if (step.kept != kNowhere) add(step.peer, kept(step.target), false);
      break;
    case StepKind::reduce:
      relate_operands(rank, i, step);
      return;
    case StepKind::flush:
      return;
  }
  if (step.peer < 0 || step.peer >= shape_.size || step.peer == rank) {
    fail(rank, i, rank_text(step.peer) + " is not a peer");
  }
}

void Layout::relate_operands(int rank, std::uint64_t i, const Step& step) {
  const Schedule& schedule = *schedules_[static_cast<std::size_t>(rank)];
  if (step.sources < 1 || step.destinations < 1) fail(rank, i, "has no operands");
  for (int j = 0; j < step.sources; ++j) {
    const Operand operand = schedule.source(i, j);
    related_.push_back({operand.owner, operand.slice});
    check(rank, i, related_.back(), false);
    if (operand.owner == rank) continue;
    related_.push_back({rank, operand.fallback});
    check(rank, i, related_.back(), false);
    if (operand.kept == kNowhere) continue;
    related_.push_back({operand.owner, {Buffer::scratch, operand.kept, operand.slice.length}});
    check(rank, i, related_.back(), false);
  }
  for (int j = 0; j < step.destinations; ++j) {
    const Operand operand = schedule.destination(i, j);
    related_.push_back({operand.owner, operand.slice});
    check(rank, i, related_.back(), true);
    if (operand.kept == kNowhere) continue;
    related_.push_back({rank, {Buffer::scratch, operand.kept, operand.slice.length}});
    check(rank, i, related_.back(), true);
  }
}

bool Layout::cut_alike(const OwnedSlice& a, const OwnedSlice& b) const {
  const Cuts& x = cuts(a.owner, a.slice.buffer);
  const Cuts& y = cuts(b.owner, b.slice.buffer);
  const std::uint64_t of_a = begin(a.slice);
  const std::uint64_t of_b = begin(b.slice);
  std::size_t i = x.index(of_a);
  std::size_t j = y.index(of_b);
  // Both slices end at a boundary, at the same distance.
  while (x.at(i) != of_a + a.slice.length) {
    if (x.at(i) - of_a != y.at(j) - of_b) return false;
    ++i;
    ++j;
  }
  return y.at(j) == of_b + b.slice.length;
}

void Layout::close() {
  while (carry_over()) sort();
}

bool Layout::carry_over() {
  std::vector<std::uint64_t> distances;
  bool changed = false;
  for (int rank = 0; rank < shape_.size; ++rank) {
    const std::uint64_t steps = schedules_[static_cast<std::size_t>(rank)]->steps();
    for (std::uint64_t i = 0; i < steps; ++i) {
      relate(rank, i);
      if (related_.size() < 2 || related_.front().slice.length == 0) continue;
      bool alike = true;
      for (const OwnedSlice& one : related_) alike = alike && cut_alike(related_.front(), one);
      if (alike) continue;
      distances.clear();
      for (const OwnedSlice& one : related_) {
        const Cuts& cut = cuts(one.owner, one.slice.buffer);
        const std::uint64_t of = begin(one.slice);
        for (std::size_t k = cut.index(of); cut.at(k) != of + one.slice.length; ++k) {
          distances.push_back(cut.at(k) - of);
        }
      }
      for (const OwnedSlice& one : related_) {
        Cuts& cut = cuts(one.owner, one.slice.buffer);
        for (const std::uint64_t distance : distances) cut.add(begin(one.slice) + distance);
        cut.sort();
      }
      changed = true;
    }
  }
  return changed;
}

void Layout::sort() {
  block_.sort();
  for (Cuts& cut : scratch_) cut.sort();
}

}  // namespace paceline::collectives::verifier
