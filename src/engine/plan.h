// A call made ready to run: its schedule, how it is cut into instances, whom it touches. Depends
// on the call and the communicator only, not on buffers, so it is kept and used again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "base/layout.h"
#include "base/log.h"
#include "collectives/choice.h"
#include "collectives/placement.h"
#include "collectives/schedule.h"
#include "engine/call.h"
#include "engine/eager_program.h"

namespace paceline::engine {

struct PlanOptions {
  int rank = 0;
  int size = 1;
  /// The longest put that travels as a message; of pieces of blocks (collectives::Grain) at most
  /// the second. All ranks have the same.
  std::size_t eager_bytes = 4096;
  std::size_t eager_piece_bytes = std::numeric_limits<std::size_t>::max();
  std::size_t segment_bytes = 128 * 1024;
  /// The shortest slice that is fetched (put_fetch.cpp): below it, a second copy costs less than a
  /// system call that looks up pages. All ranks have the same, at least kReferenceBytes.
  std::size_t fetch_bytes = 32 * 1024;
  /// The shortest output that the two ends of an edge fill in turns (put_fetch.cpp). Of less, a
  /// core's second cache holds what a root has just written, and to load it from there takes the
  /// receiver longer. All ranks have the same.
  std::size_t in_turns_bytes = 1024 * 1024;
  /// From how many bytes of input and output together on results go past the caches
  /// (memory/stores.h), where they are stored straight into outputs. A rank's own affair.
  std::size_t streaming_bytes = std::numeric_limits<std::size_t>::max();
  /// How many bytes of scratch are used before the same ones are used again
  /// (rotating_memory.h). A rank's own affair.
  std::size_t lap_bytes = 0;
  int lanes = 2;
  /// In place of segment_bytes and lanes; null: those. Outlives the engine.
  const collectives::Choices* choices = nullptr;
  Logger log = {};
  /// Which ranks are on which host; null: all on one.
  std::shared_ptr<const collectives::Placement> placement = {};
};

/// What an instance may cover at most, over all chunks or blocks. Scratch is lanes times about four
/// times this, so with many ranks the segments shrink instead of the scratch growing.
inline constexpr std::size_t kMaxInstanceBytes = 8 * 1024 * 1024;

class Plan {
 public:
  Plan(const Call& call, const PlanOptions& options);

  [[nodiscard]] const Call& call() const { return call_; }
  /// True if every put travels as a message of its own, so that nothing is announced.
  [[nodiscard]] bool eager() const { return eager_; }
  /// Only if eager().
  [[nodiscard]] const EagerProgram& eager_program() const { return eager_program_; }
  /// The ranks that this one exchanges data with, ascending.
  [[nodiscard]] const std::vector<int>& peers() const { return peers_; }

  /// Instance i covers elements [i * instance_count, ...) of each block of the buffers; the last
  /// one may be shorter. Lane l runs the instances l, l + lanes, ... one after the other. If blocks
  /// have a length per rank, that decides how many there are, not the plan.
  [[nodiscard]] std::uint64_t instances() const { return instances_; }
  [[nodiscard]] int lanes() const { return lanes_; }
  [[nodiscard]] std::uint64_t instance_count() const { return instance_count_; }
  /// The same for all instances, since they share scratches and shadow; of the last one, what lies
  /// behind the end of a block is left out: see clipped().
  [[nodiscard]] const collectives::Schedule& schedule() const { return *schedule_; }
  /// What is run instead if all buffers are mapped (collectives::mapped_form); null: nothing else.
  [[nodiscard]] const collectives::Schedule* mapped_schedule() const { return mapped_.get(); }
  /// Where an instance's element of an input or output, as its schedule counts them, is in the
  /// whole buffer.
  [[nodiscard]] std::uint64_t element(std::uint64_t instance, std::uint64_t of_schedule) const {
    const std::uint64_t begin = instance * instance_count_;
    if (of_schedule < instance_count_) return begin + of_schedule;  // of the first block
    if (instance_count_ == 0) return 0;
    return of_schedule / instance_count_ * call_.count + begin + of_schedule % instance_count_;
  }
  /// How many elements of a slice an instance has: fewer than the slice's length at the end.
  [[nodiscard]] std::uint64_t clipped(std::uint64_t instance,
                                      const collectives::Slice& slice) const {
    if (instance + 1 != instances_ || slice.buffer == collectives::Buffer::scratch) {
      return slice.length;
    }
    if (slice.length == 0) return 0;
    const std::uint64_t there = call_.count - instance * instance_count_;
    const std::uint64_t within = slice.offset % instance_count_;
    return within >= there ? 0 : std::min(slice.length, there - within);
  }
  /// Elements of a rank's whole input and output.
  [[nodiscard]] std::uint64_t input_count(int rank) const { return total(rank).first; }
  [[nodiscard]] std::uint64_t output_count(int rank) const { return total(rank).second; }
  /// Bytes of an instance's scratch: the schedule's, then the shadow of the output.
  [[nodiscard]] std::size_t turn_stride() const { return turn_stride_; }
  [[nodiscard]] std::size_t shadow_offset() const { return shadow_offset_; }
  /// Whether what is given may be kept (collectives/schedule.h).
  [[nodiscard]] bool keeps() const {
    return !call_.per_rank() && schedule_->keeping() != collectives::Keeping::never;
  }
  /// How many scratches each lane has. Its instances use them in turn.
  [[nodiscard]] std::size_t turns() const { return turns_; }
  /// The same where always the same memory is best.
  [[nodiscard]] std::size_t fewest_turns() const { return fewest_turns_; }
  /// Of all lanes with so many turns.
  [[nodiscard]] std::size_t scratch_bytes(std::size_t turns) const {
    return static_cast<std::size_t>(lanes_) * turns * turn_stride_;
  }
  /// Where an instance's scratch begins, in that of a rank with so many turns.
  [[nodiscard]] std::uint64_t scratch_at(std::uint64_t instance, std::uint64_t turns,
                                         std::uint64_t turn_stride) const {
    const auto lanes = static_cast<std::uint64_t>(lanes_);
    return (instance % lanes * turns + instance / lanes % turns) * turn_stride;
  }

 private:
  void cut(const PlanOptions& options);
  void make(const PlanOptions& options);
  void scan(const PlanOptions& options);
  [[nodiscard]] collectives::Shape shape() const {
    const std::uint64_t count = call_.per_rank() ? 0 : call_.count;
    return {size_, count, call_.root, kCacheLine / size_of(call_.type), placement_.get()};
  }
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> total(int rank) const {
    const Blocks blocks = blocks_of(call_.collective, rank, size_, call_.root);
    return {static_cast<std::uint64_t>(blocks.input) * call_.count,
            static_cast<std::uint64_t>(blocks.output) * call_.count};
  }

  Call call_;
  int size_ = 1;
  std::shared_ptr<const collectives::Placement> placement_;  ///< the schedule uses it
  bool eager_ = false;
  EagerProgram eager_program_;
  std::uint64_t instances_ = 1;
  std::uint64_t instance_count_ = 0;
  int lanes_ = 1;
  std::size_t turn_stride_ = 0;
  std::size_t shadow_offset_ = 0;
  std::size_t turns_ = 1;
  std::size_t fewest_turns_ = 1;
  std::vector<int> peers_;
  std::unique_ptr<const collectives::Schedule> schedule_;
  std::unique_ptr<const collectives::Schedule> mapped_;
};

}  // namespace paceline::engine
