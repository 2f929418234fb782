#include "engine/plan.h"

#include <algorithm>
#include <set>

#include "base/layout.h"
#include "paceline/error.h"

namespace paceline::engine {

namespace {

}  // namespace

Plan::Plan(const Call& call, const PlanOptions& options) : call_(call) {
  cut(options);
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
// allows, and makes the one or two schedules that they need.
void Plan::cut(const PlanOptions& options) {
  const std::size_t element = size_of(call_.type);
  const std::uint64_t alignment = kCacheLine / element;
  const auto chunks = static_cast<std::uint64_t>(chunks_of(call_.algorithm, options.size));

  const std::size_t segment = std::max(
      round_up(1, kCacheLine),
      std::min(options.segment_bytes, kMaxInstanceBytes / chunks) / kCacheLine * kCacheLine);
  const std::uint64_t most = segment / element * chunks;
  instances_ = std::max<std::uint64_t>(1, (call_.count + most - 1) / most);
  instance_count_ = call_.count;
  if (instances_ > 1) {
    instance_count_ = round_up((call_.count + instances_ - 1) / instances_, alignment * chunks);
    instances_ = (call_.count + instance_count_ - 1) / instance_count_;
  }
  lanes_ = static_cast<int>(
      std::min<std::uint64_t>(static_cast<std::uint64_t>(options.lanes), instances_));

  collectives::Shape shape{options.size, instance_count_, call_.root, alignment};
  full_ = collectives::make_schedule(call_.collective, call_.algorithm, shape, options.rank);
  if (full_ == nullptr) {
    throw Error(ErrorCode::invalid_argument, std::string(to_string(call_.collective)) +
                                                 " is not offered by algorithm " +
                                                 std::string(to_string(call_.algorithm)));
  }
  last_ = full_;
  const std::uint64_t rest = call_.count - (instances_ - 1) * instance_count_;
  if (rest != instance_count_) {
    shape.count = rest;
    last_ = collectives::make_schedule(call_.collective, call_.algorithm, shape, options.rank);
  }
  shadow_offset_ = 2 * round_up(std::max(full_->scratch(), last_->scratch()) * element, kLinePair);
  lane_stride_ = shadow_offset_ + round_up(instance_count_ * element, kLinePair);
}

// Finds the peers, and whether the puts are short enough for messages. What the longest put of any
// rank is follows from the shape: a rank's own schedule may have none, and all must decide alike.
void Plan::scan(const PlanOptions& options) {
  std::set<int> peers;
  for (const collectives::Schedule* schedule : {full_.get(), last_.get()}) {
    for (std::uint64_t i = 0; i < schedule->steps(); ++i) {
      const collectives::Step step = schedule->step(i);
      if (step.peer >= 0) peers.insert(step.peer);
    }
    if (full_ == last_) break;
  }
  peers_.assign(peers.begin(), peers.end());

  const std::size_t element = size_of(call_.type);
  const collectives::Shape chunked{chunks_of(call_.algorithm, options.size), call_.count, 0,
                                   kCacheLine / element};
  const std::uint64_t longest = collectives::chunk_bounds(chunked, 0).length;
  eager_ = instances_ == 1 && longest * element <= options.eager_bytes;
  if (eager_) eager_program_ = compile_eager(*full_, options.rank, element);
}

}  // namespace paceline::engine
