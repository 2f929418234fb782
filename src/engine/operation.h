// One call under way on one rank.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/announcement.h"
#include "engine/call.h"
#include "engine/completion.h"
#include "engine/extents.h"
#include "engine/plan.h"
#include "engine/staging.h"
#include "engine/vitals.h"
#include "memory/region.h"
#include "paceline/error.h"
#include "paceline/reduction.h"

namespace paceline::engine {

/// What a rank brings to a call besides its signature.
struct Buffers {
  /// The caller's pointers. In place: equal. Zero elements, or in pieces: may be null.
  const std::byte* input = nullptr;
  std::byte* output = nullptr;
  /// Where the blocks are, if they have a length per rank; else null.
  std::shared_ptr<const Extents> extents = {};
  /// premul_sum: by what this rank's contribution is multiplied.
  double factor = 0;
  /// custom: the caller's function; else null.
  std::shared_ptr<const ReduceFunction> function = {};
  /// If input and output lie in pieces, these; else null.
  std::shared_ptr<const Pieces> pieces = {};
  /// Bytes of the inputs and outputs of all calls that are made together with this one: what comes
  /// between this call and the next one on the same buffers. 0: nothing is known of that.
  std::size_t together = 0;
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
  /// The operation of the same group that was submitted before it; null: none.
  [[nodiscard]] const std::shared_ptr<Operation>& before() const { return before_; }
  void set_before(std::shared_ptr<Operation> before) { before_ = std::move(before); }

 private:
  friend class Engine;
  friend class EagerRun;
  friend class PutRun;

  void reset(const std::shared_ptr<const Plan>& plan, std::uint64_t sequence,
             const Buffers& buffers) {
    if (plan_ != plan) plan_ = plan;  // counting owners costs as much as the history
    given_ = buffers;
    again(sequence);
  }
  /// The same call on the same buffers.
  void again(std::uint64_t sequence) {
    sequence_ = sequence;
    input_ = given_.input;
    output_ = given_.output;
    phase_ = Phase::linking;
    eager_step_ = 0;
    announced_ = 0;
    released_ = 0;
    flushed_ = 0;
    if (!references_.empty()) references_.clear();  // which does more than to ask
    lanes_.clear();
    waiting_for_ = Error::kNoRank;
    staged_output_ = false;
    recorded_ = false;
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
  Buffers given_;
  /// Where the steps find input and output: the caller's, or copies of them (staging.h).
  const std::byte* input_ = nullptr;
  std::byte* output_ = nullptr;
  bool staged_output_ = false;
  bool recorded_ = false;  ///< in the history and the vitals
  /// No peer writes there any more when the operation has ended: it was announced for this one.
  std::byte* scratch_ = nullptr;
  Operation* next_ = nullptr;  ///< in the queue
  /// Keeps it alive while it is in the queue; null if its caller does.
  std::shared_ptr<Operation> queued_;
  std::shared_ptr<Operation> before_;
  Phase phase_ = Phase::linking;

  // eager
  std::size_t eager_step_ = 0;
  // announced
  std::size_t announced_ = 0;  ///< peers told so far
  std::size_t released_ = 0;   ///< peers told that everything has been fetched from them
  std::size_t flushed_ = 0;    ///< peers that need nothing of this rank any more
  /// What puts by reference carry; a deque, since they must not move until they are flushed.
  std::deque<ReferenceWords> references_;
  /// Whose steps the lanes take; null: what the peer has announced decides.
  const collectives::Schedule* schedule_ = nullptr;
  std::vector<LaneState> lanes_;
  std::uint64_t instances_ = 0;
  std::uint64_t turns_ = 1;  ///< scratches of a lane
  bool keeps_ = false;       ///< keeps what it gives to peers that do too
  bool likes_to_keep_ = false;
  std::shared_ptr<memory::Region> input_region_;
  std::shared_ptr<memory::Region> output_region_;
  /// What the slowest lane waits for; for the text of a time-out.
  int waiting_for_ = Error::kNoRank;
};

}  // namespace paceline::engine
