#include "engine/plan.h"

#include <algorithm>
#include <set>

#include "paceline/error.h"

namespace paceline::engine {

using collectives::Grain;

namespace {

constexpr std::uint64_t kLongBlock = 1 << 20;

/// With the segment and the lanes that are chosen for this call. They depend on nothing but the
/// call, so all ranks have the same, and a plan can be used again.
PlanOptions chosen(const Call& call, PlanOptions options) {
  if (options.choices == nullptr) return options;
  // Blocks with a length per rank are taken for long ones, on all ranks alike.
  const std::uint64_t bytes = call.per_rank() ? kLongBlock : call.count * size_of(call.type);
  const collectives::Choice& choice = options.choices->at(call.collective, bytes);
  options.segment_bytes = choice.segment_bytes;
  options.lanes = choice.lanes;
  return options;
}

}  // namespace

Plan::Plan(const Call& call, const PlanOptions& options)
    : call_(call), size_(options.size), placement_(options.placement) {
  cut(chosen(call, options));
  scan(options);
  options.log.debug(LogComponent::engine, [&] {
    return call.text() + " takes " + std::string(to_string(call.algorithm)) + " with " +
           std::to_string(peers_.size()) + " peers, " +
           (eager_ ? "by messages"
                   : "in " + std::to_string(instances_) + " instances on " +
                         std::to_string(lanes_) + " lanes");
  });
}

// Cuts the operation into instances of equal length (but for the last), as few as the segment size
// allows.
void Plan::cut(const PlanOptions& options) {
  const std::size_t element = size_of(call_.type);
  const collectives::Shape whole = shape();
  const Grain grain = collectives::grain_of(call_.collective, call_.algorithm, whole);
  const auto pieces = static_cast<std::uint64_t>(grain.pieces);
  // The root's, where only the root has them.
  const Blocks blocks = blocks_of(call_.collective, call_.root, size_, call_.root);
  const auto parts = std::max<std::uint64_t>(
      pieces, static_cast<std::uint64_t>(std::max(blocks.input, blocks.output)));

  const std::size_t segment = std::max<std::size_t>(
      kCacheLine, std::min(options.segment_bytes * static_cast<std::size_t>(grain.segments) /
                               static_cast<std::size_t>(grain.blocks),
                           kMaxInstanceBytes / parts) /
                      kCacheLine * kCacheLine);
  const std::uint64_t most = segment / element * pieces;
  if (call_.per_rank()) {
    instance_count_ = most;
    lanes_ = options.lanes;  // which all ranks have, but not the same number of instances
    make(options);
    return;
  }
  instances_ = std::max<std::uint64_t>(1, (call_.count + most - 1) / most);
  instance_count_ = call_.count;
  if (instances_ > 1) {
    instance_count_ =
        round_up((call_.count + instances_ - 1) / instances_, whole.alignment * pieces);
    instances_ = (call_.count + instance_count_ - 1) / instance_count_;
  }
  lanes_ = static_cast<int>(
      std::min<std::uint64_t>(static_cast<std::uint64_t>(options.lanes), instances_));
  make(options);
}

// The schedule of an instance, and the memory that it needs.
void Plan::make(const PlanOptions& options) {
  const std::size_t element = size_of(call_.type);
  collectives::Shape part = shape();
  part.count = instance_count_;
  schedule_ = collectives::make_schedule(call_.collective, call_.algorithm, part, options.rank);
  if (schedule_ == nullptr) {
    throw Error(ErrorCode::invalid_argument, std::string(to_string(call_.collective)) +
                                                 " is not offered by algorithm " +
                                                 std::string(to_string(call_.algorithm)));
  }
  std::uint64_t scratch = schedule_->scratch();
  if (const auto mapped = collectives::mapped_form(call_.collective, call_.algorithm, size_)) {
    mapped_ = collectives::make_schedule(call_.collective, *mapped, part, options.rank);
    scratch = std::max(scratch, mapped_->scratch());
  }
  const Blocks mine = blocks_of(call_.collective, options.rank, size_, call_.root);
  shadow_offset_ = round_up(scratch * element, kLinePair);
  turn_stride_ =
      shadow_offset_ +
      round_up(static_cast<std::uint64_t>(mine.output) * instance_count_ * element, kLinePair);
  // Two are what the schedules' proof is about; more than instances are of no use. Those of blocks
  // with a length per rank are not known here.
  const auto lanes = static_cast<std::uint64_t>(lanes_);
  fewest_turns_ = 2;
  turns_ = std::max<std::size_t>(
      fewest_turns_, options.lap_bytes / std::max<std::size_t>(turn_stride_ * lanes, kLinePair));
  if (!call_.per_rank()) {
    const std::uint64_t most = std::max<std::uint64_t>(1, (instances_ + lanes - 1) / lanes);
    fewest_turns_ = std::min<std::size_t>(fewest_turns_, most);
    turns_ = std::min<std::size_t>(turns_, most);
  }
}

// Finds the peers, and whether the puts are short enough for messages. What the longest put of any
// rank is follows from the shape: a rank's own schedule may have none, and all must decide alike.
void Plan::scan(const PlanOptions& options) {
  std::set<int> peers;
  for (std::uint64_t i = 0; i < schedule_->steps(); ++i) {
    const collectives::Step step = schedule_->step(i);
    if (step.peer >= 0) peers.insert(step.peer);
  }
  peers_.assign(peers.begin(), peers.end());

  const Grain grain = collectives::grain_of(call_.collective, call_.algorithm, shape());
  collectives::Shape chunked = shape();
  chunked.size = grain.pieces;
  const std::uint64_t longest = collectives::chunk_bounds(chunked, 0).length *
                                static_cast<std::uint64_t>(grain.blocks) * size_of(call_.type);
  eager_ = !call_.per_rank() && grain.messages && instances_ == 1 &&
           longest <= grain.longest_message(options.eager_bytes, options.eager_piece_bytes);
  if (eager_) eager_program_ = compile_eager(*schedule_, options.rank, call_);
}

}  // namespace paceline::engine
