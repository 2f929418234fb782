// Schedules that are kept as a list of their steps, for algorithms that take few (about log2(p)).
// Where a rank repeats something for every block, the list has a run: steps that are all alike and
// are computed when they are asked for, so that a plan does not grow with the number of ranks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "collectives/schedule.h"

namespace paceline::collectives {

/// Constructors of derived classes append the steps, in order.
class Listed : public Schedule {
 public:
  [[nodiscard]] std::uint64_t steps() const final { return steps_; }
  [[nodiscard]] Step step(std::uint64_t i) const final;
  [[nodiscard]] Operand source(std::uint64_t i, int j) const final;
  [[nodiscard]] Operand destination(std::uint64_t i, int j) const final;
  [[nodiscard]] std::uint64_t scratch() const final { return scratch_; }

 protected:
  explicit Listed(int rank) : rank_(rank) {}

  [[nodiscard]] int rank() const { return rank_; }

  void put(int peer, const Slice& source, const Slice& target);
  void signal(int peer);
  void wait(int peer, const Slice& target = {});
  /// Combines slices of this rank's.
  void reduce(const std::vector<Slice>& sources, const Slice& destination);
  void copy(const Slice& from, const Slice& to) { reduce({from}, to); }
  /// `length` steps, computed by run_step; the runs are numbered from 0.
  void run(std::uint64_t length);
  /// The next `length` elements of scratch.
  std::uint64_t take_scratch(std::uint64_t length);

  /// Step i of a run. As long as nothing else is said, it copies run_source to run_destination.
  [[nodiscard]] virtual Step run_step(int run, std::uint64_t i) const;
  [[nodiscard]] virtual Slice run_source(int run, std::uint64_t i) const;
  [[nodiscard]] virtual Slice run_destination(int run, std::uint64_t i) const;

 private:
  static constexpr int kNoRun = -1;
  /// A step, or a run of them.
  struct Entry {
    std::uint64_t begin = 0;  ///< index of its first step
    Step step = {};
    std::size_t operands = 0;  ///< index into operands_: its sources, then its destination
    int run = kNoRun;
  };

  void add(const Step& step);
  [[nodiscard]] const Entry& entry(std::uint64_t i) const;

  int rank_;
  int runs_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t scratch_ = 0;
  std::vector<Entry> entries_;
  std::vector<Slice> operands_;
};

}  // namespace paceline::collectives
