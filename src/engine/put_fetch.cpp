// Outputs whose owner fetches what it is given (collectives/lowering.h): the put carries where the
// source lies, the wait reads it from there.
//
// An input is ready from the beginning, and so is what a root broadcasts. There the put also says
// that all of the block is, and the receiver gets as much as it may at once; the puts of that find
// that it has been fetched.
//
// Mapped outputs, too, where one end of an edge gives and the other receives: in every other
// instance the receiver loads what in the others the giver stores, so that both copy half.
//
// The source is needed until then, which a flush of this side knows nothing of. So a rank that is
// done with its steps tells each peer that it has fetched from, by one signal behind all others
// (the release), and no operation ends before it has heard that from those that fetch from it.
#include <algorithm>

#include "engine/put_run.h"

namespace paceline::engine {

using collectives::Buffer;
using collectives::Reach;
using collectives::Slice;
using collectives::Step;
using transport::Lane;
using transport::RemoteAddress;

namespace {

/// The longest output that is fetched, in bytes (docs/performance.md has the measurements).
///
/// To fetch is one copy instead of two, all of it the receiver's. Where everybody receives as much
/// as it gives, that is a gain until memory is the limit, which the shadow does not burden since it
/// stays in a cache. Where one gives and others receive, the copies of long data overlap when both
/// ends make one. Results of a reduction are stored into the shadow as they are computed, which
/// saves the first copy; and a root that gathers would make all copies alone.
std::uint64_t longest_fetched(Collective collective) {
  switch (collective) {
    case Collective::all_gather:
    case Collective::all_to_all:
      return 64 * 1024 * 1024;
    case Collective::broadcast:
      return 1024 * 1024;
    case Collective::all_reduce:
    case Collective::reduce_scatter:
    case Collective::reduce:
    case Collective::gather:
    case Collective::scatter:
    case Collective::barrier:
      break;
  }
  return 0;
}

/// With more ranks, those that have received give in turn: no core is idle that could help.
constexpr int kMostInTurns = 2;

/// How much is fetched by one call, at most, unless an instance is longer. Measured: of 1 MiB, 8
/// calls take 143 us, 2 take 128, and one takes 124.
constexpr std::uint64_t kAtOnce = std::uint64_t{1} << 20;

/// Of the release: any would do, since a lane's counts are the same on both ends.
constexpr Lane kReleaseLane = 0;

}  // namespace

std::uint64_t PutRun::shortest_fetched() const {
  return (engine_.options_.fetch_bytes + element_ - 1) / element_;
}

// Whether this rank fetches what the peer has for an output that cannot be put into. Where two
// copies are quicker, it may still be quicker than two of which the first goes past the caches:
// those are between cores that are far from each other, and get() does not mind how far. Data that
// no cache holds is stored past them for its own sake.
std::uint64_t PutRun::key_of_unreachable_output(const Edge& edge) const {
  if (!edge.endpoint->can_get() || operation_.plan_->instance_count() < shortest_fetched() ||
      bytes(engine_.output_count(operation_)) > longest_fetched(operation_.call().collective)) {
    return transport::kNoKey;
  }
  if (edge.endpoint->get_beats_copies()) return kFetched;
  return engine_.beyond_caches(operation_) ? transport::kNoKey : kFetchedIfStreamed;
}

// Whether both ends fill the receiver's output in turns. Both ask this of the same things.
bool PutRun::in_turns(const Edge& edge) const {
  return operation_.call().collective == Collective::broadcast && operation_.instances_ > 1 &&
         engine_.options_.size <= kMostInTurns &&
         bytes(engine_.output_count(operation_)) >= engine_.options_.in_turns_bytes &&
         edge.reach.my_output == Reach::mapped && edge.reach.peer_output == Reach::mapped;
}

collectives::EdgeReach PutRun::reach(const Edge& edge, std::uint64_t instance) const {
  collectives::EdgeReach now = edge.reach;
  if (edge.in_turns && instance % 2 == 1) now.my_output = now.peer_output = Reach::pulled;
  if (edge.keeps) now.i_keep = now.peer_keeps = keeps(edge, instance);
  return now;
}

bool PutRun::is_part_of_block(const Slice& slice) const {
  const std::uint64_t segment = operation_.plan_->instance_count();
  return slice.offset % segment == 0 && slice.length == segment;
}

// All of an input is there from the beginning, and what a root broadcasts; none of these
// collectives writes there.
bool PutRun::is_ready_as_a_whole(const Slice& slice) const {
  const Call& call = operation_.call();
  const bool is_there =
      slice.buffer == Buffer::input ||
      (call.collective == Collective::broadcast && call.root == engine_.options_.rank);
  return is_there && is_part_of_block(slice);
}

bool PutRun::put_reference(Edge& edge, const Step& step, ConstBytes source, Lane lane,
                           std::uint64_t instance) {
  const transport::Registration* registration = registration_of(edge, step.source.buffer);
  const bool whole_block = !edge.in_turns && is_ready_as_a_whole(step.source);
  const ReferenceWords& reference = operation_.references_.emplace_back(
      to_words({reinterpret_cast<std::uintptr_t>(source.data()),
                registration == nullptr ? transport::kNoKey : registration->key()},
               whole_block));
  if (edge.endpoint->put(lane, std::as_bytes(std::span(reference)), nullptr,
                         remote(edge, step.target, true, instance))) {
    edge.endpoint->skipped(source.size());
    return true;
  }
  operation_.references_.pop_back();
  return false;
}

// Of a block that is ready as a whole, as much by one call as one may get, since a system call
// takes as long as it copies several KiB. Blocks are fetched from their beginning, whichever lane's
// turn it is, so that nothing is fetched twice: the instances' own puts come all the same, and find
// that they have been fetched.
bool PutRun::fetch(Edge& edge, const Step& step, std::uint64_t instance, const std::byte* reference,
                   std::span<std::byte> target) {
  const RemoteAddress source = read_address(reference);
  if (source.key != transport::kNoKey && edge.endpoint->maps()) {
    const std::byte* mapped = edge.endpoint->map(source, target.size());
    if (mapped == nullptr) return false;
    engine_.scratch_.region()->kind().copy(target.data(), mapped, target.size());
    return true;
  }
  if (!read_whole_block(reference) || !is_part_of_block(step.target)) {
    return edge.endpoint->get(target, source);
  }
  if (edge.fetched.block != step.target.offset) edge.fetched = {step.target.offset, 0};
  if (instance < edge.fetched.end) return true;
  const std::uint64_t begin = edge.fetched.end;
  const std::uint64_t segment = bytes(operation_.plan_->instance_count());
  const std::uint64_t end = std::max(instance + 1, begin + kAtOnce / segment);
  const std::uint64_t block =
      bytes(extents_ == nullptr ? operation_.call().count : extents_->got_from(edge.peer));
  const std::uint64_t before = (instance - begin) * segment;
  if (!edge.endpoint->get(
          {target.data() - before, std::min(block, end * segment) - begin * segment},
          {source.address - before, source.key})) {
    return false;
  }
  edge.fetched.end = end;
  return true;
}

bool PutRun::release() {
  const std::vector<int>& peers = operation_.plan_->peers();
  for (; operation_.released_ < peers.size(); ++operation_.released_) {
    Edge& edge = engine_.edge(peers[operation_.released_]);
    operation_.waiting_for_ = edge.peer;
    if (edge.reach.my_output != Reach::fetched && !edge.in_turns) continue;
    if (!edge.endpoint->signal(kReleaseLane)) return false;
  }
  return true;
}

// Those that fetch from this rank's memory say when they have; what else was sent must have left.
bool PutRun::finish() {
  const std::vector<int>& peers = operation_.plan_->peers();
  for (; operation_.flushed_ < peers.size(); ++operation_.flushed_) {
    Edge& edge = engine_.edge(peers[operation_.flushed_]);
    operation_.waiting_for_ = edge.peer;
    if (!edge.endpoint->flushed()) return false;
    if (edge.reach.peer_output != Reach::fetched && !edge.in_turns) continue;
    if (edge.endpoint->arrived(kReleaseLane) <= edge.consumed[kReleaseLane]) return false;
    ++edge.consumed[kReleaseLane];
  }
  return true;
}

}  // namespace paceline::engine
