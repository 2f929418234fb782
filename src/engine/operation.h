// One call under way on one rank.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/call.h"
#include "engine/completion.h"
#include "engine/plan.h"
#include "engine/vitals.h"
#include "memory/region.h"
#include "paceline/error.h"

namespace paceline::engine {

/// The caller's pointers. In place: equal. Zero elements: may be null.
struct Buffers {
  const std::byte* input = nullptr;
  std::byte* output = nullptr;
};

/// How far one lane has come.
struct LaneState {
  std::uint64_t instance = 0;
  std::uint64_t step = 0;
  bool finished = false;
};

/// Written by the owner of progress only, except where atomics say otherwise.
class Operation final : public Completion {
 public:
  [[nodiscard]] const Call& call() const { return plan_->call(); }
  [[nodiscard]] std::uint64_t sequence() const { return sequence_; }
  /// The peer that it waited for last; Error::kNoRank if it never waited.
  [[nodiscard]] int waiting_for() const { return waiting_for_; }

 private:
  friend class Engine;
  friend class EagerRun;
  friend class PutRun;

  void reset(const std::shared_ptr<const Plan>& plan, std::uint64_t sequence,
             const Buffers& buffers) {
    if (plan_ != plan) plan_ = plan;  // counting owners costs as much as the history
    sequence_ = sequence;
    buffers_ = buffers;
    phase_ = Phase::linking;
    eager_step_ = 0;
    announced_ = 0;
    lanes_.clear();
    waiting_for_ = Error::kNoRank;
    error_.reset();
    finished_.store(false, std::memory_order_relaxed);
  }
  void succeed() { finish(Phase::done); }
  void fail(Error error) {
    error_ = std::move(error);
    finish(Phase::failed);
  }
  void finish(Phase phase) {
    input_region_ = nullptr;
    output_region_ = nullptr;
    phase_ = phase;
    finished_.store(true, std::memory_order_release);
  }

  std::shared_ptr<const Plan> plan_;
  std::uint64_t sequence_ = 0;
  Buffers buffers_;
  Phase phase_ = Phase::linking;

  // eager
  std::size_t eager_step_ = 0;
  // announced
  std::size_t announced_ = 0;  ///< peers told so far
  std::vector<LaneState> lanes_;
  std::shared_ptr<memory::Region> input_region_;
  std::shared_ptr<memory::Region> output_region_;
  /// What the slowest lane waits for; for the text of a time-out.
  int waiting_for_ = Error::kNoRank;
};

}  // namespace paceline::engine
