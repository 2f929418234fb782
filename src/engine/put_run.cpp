#include "engine/put_run.h"

#include <algorithm>

namespace paceline::engine {

using collectives::Buffer;
using collectives::LoweredOperand;
using collectives::LoweredWait;
using collectives::Operand;
using collectives::Reach;
using collectives::Schedule;
using collectives::Slice;
using collectives::Step;
using collectives::StepKind;
using transport::Lane;
using transport::RemoteAddress;

namespace {

RemoteAddress address_of(const std::byte* pointer, const memory::Region* region,
                         std::size_t transport) {
  RemoteAddress a;
  a.address = reinterpret_cast<std::uintptr_t>(pointer);
  if (region != nullptr && region->registration(transport) != nullptr) {
    a.key = region->registration(transport)->key();
  }
  return a;
}

/// Of all lanes: more than a machine has, and far from where sums of such numbers wrap.
constexpr std::uint64_t kMostScratch = std::uint64_t{1} << 48;

/// `streams`: how the other end would put into it.
Reach reach_of(const RemoteAddress& address, bool maps, bool streams = false) {
  if (address.key == transport::kNoKey) return Reach::staged;
  if (address.key == kFetched) return Reach::fetched;
  if (address.key == kFetchedIfStreamed) return streams ? Reach::fetched : Reach::staged;
  return maps ? Reach::mapped : Reach::puttable;
}

}  // namespace

// --- announcing ----------------------------------------------------------------------------------

Announcement PutRun::describe(const Edge& edge) const {
  const Plan& plan = *operation_.plan_;
  Announcement a;
  a.input = address_of(operation_.input_, operation_.input_region_.get(), edge.transport);
  a.output = address_of(operation_.output_, operation_.output_region_.get(), edge.transport);
  if (extents_ != nullptr) {
    const auto peer = static_cast<std::uint64_t>(edge.peer);
    a.input.address += bytes(extents_->block(Buffer::input, peer).offset);
    a.output.address += bytes(extents_->block(Buffer::output, peer).offset);
    a.given = extents_->given_to(edge.peer);
    a.got = extents_->got_from(edge.peer);
  }
  if (a.output.key == transport::kNoKey) a.output.key = key_of_unreachable_output(edge);
  a.scratch = address_of(operation_.scratch_, engine_.scratch_.region().get(), edge.transport);
  a.turn_stride = plan.turn_stride();
  a.shadow_offset = plan.shadow_offset();
  a.turns = operation_.turns_;
  a.keeps = operation_.keeps_;
  a.likes_to_keep = operation_.likes_to_keep_;
  a.streams = edge.endpoint->streams();
  a.in_place = operation_.input_ == operation_.output_;
  return a;
}

bool PutRun::announce() {
  const std::vector<int>& peers = operation_.plan_->peers();
  const std::size_t before = operation_.announced_;
  while (operation_.announced_ < peers.size()) {
    Edge& edge = engine_.edge(peers[operation_.announced_]);
    edge.ours = describe(edge);
    std::byte payload[kAnnouncementBytes];
    edge.ours.write(payload);
    const Header header = Header::make(MessageKind::announcement, kAnnouncementBytes, 0,
                                       operation_.sequence_, operation_.call());
    if (!edge.endpoint->send(header.bytes(), payload)) {
      operation_.waiting_for_ = edge.peer;
      break;
    }
    ++operation_.announced_;
  }
  return operation_.announced_ != before;
}

bool PutRun::bound(Edge& edge) {
  if (edge.bound_for == operation_.sequence_ + 1) return true;
  const ConstBytes message = edge.endpoint->front();
  if (message.empty()) return false;
  const Header expected = Header::make(MessageKind::announcement, kAnnouncementBytes, 0,
                                       operation_.sequence_, operation_.call());
  if (message.size() != kHeaderBytes + kAnnouncementBytes ||
      std::memcmp(message.data(), expected.words, kHeaderBytes) != 0) {
    if (engine_.take_cell(edge)) return bound(edge);
    engine_.refuse(operation_, edge, message);
  }
  bind(edge, Announcement::read(message.data() + kHeaderBytes));
  edge.endpoint->pop();
  return true;
}

// Works out what each end can do with the other's buffers: both ends from the same two
// announcements.
void PutRun::bind(Edge& edge, const Announcement& announcement) {
  const bool maps = edge.endpoint->maps();
  const auto lanes = static_cast<std::uint64_t>(operation_.plan_->lanes());
  require_scratch(edge, announcement.shadow_offset, announcement.turn_stride);
  require_scratch(edge, 1, announcement.turns);
  require_scratch(edge, announcement.turns, kMostScratch / lanes);
  require_scratch(edge, announcement.turn_stride, kMostScratch / lanes / announcement.turns);
  if (extents_ != nullptr) compare_lengths(edge, announcement);
  edge.theirs = announcement;
  edge.reach.my_input = reach_of(edge.ours.input, maps);
  edge.reach.my_output = reach_of(edge.ours.output, maps, announcement.streams);
  edge.reach.my_scratch = reach_of(edge.ours.scratch, maps);
  edge.reach.peer_input = reach_of(announcement.input, maps);
  edge.reach.peer_output = reach_of(announcement.output, maps, edge.ours.streams);
  edge.reach.peer_scratch = reach_of(announcement.scratch, maps);
  edge.reach.shortest_fetched = shortest_fetched();
  choose_schedule(edge);
  edge.in_turns = in_turns(edge);
  edge.fetched = {};
  agree_to_keep(edge);
  edge.input = edge.output = edge.scratch = nullptr;
  edge.bound_for = operation_.sequence_ + 1;
}

// Takes the mapped form if everything is mapped; only plans of two ranks have one. Of what is in
// place and may be written while others load it, no more is said to be mapped.
void PutRun::choose_schedule(Edge& edge) {
  const Plan& plan = *operation_.plan_;
  collectives::EdgeReach& reach = edge.reach;
  if (operation_.schedule_ == nullptr) {
    const bool mapped = edge.endpoint->maps() && plan.call().count != 0 &&
                        reach.my_input == Reach::mapped && reach.my_output == Reach::mapped &&
                        reach.peer_input == Reach::mapped && reach.peer_output == Reach::mapped;
    operation_.schedule_ = mapped ? plan.mapped_schedule() : &plan.schedule();
  }
  if (!operation_.schedule_->input_apart()) return;
  if (edge.ours.in_place) reach.my_input = Reach::staged;
  if (edge.theirs.in_place) reach.peer_input = Reach::staged;
}

// The block that one end gives is the one that the other gets.
void PutRun::compare_lengths(const Edge& edge, const Announcement& theirs) const {
  const std::uint64_t given = extents_->given_to(edge.peer);
  const std::uint64_t got = extents_->got_from(edge.peer);
  if (theirs.got == given && theirs.given == got) return;
  const std::string me = "rank " + std::to_string(engine_.options_.rank);
  const auto say = [](std::uint64_t gives, std::uint64_t gets) {
    return std::to_string(gives) + " elements where " + std::to_string(gets) + " are expected";
  };
  throw Error(
      ErrorCode::mismatch,
      numbered(operation_.sequence_, operation_.call()) + ": " +
          (theirs.given != got
               ? engine_.peers_.name(edge.peer) + " gives " + me + " " + say(theirs.given, got)
               : me + " gives " + engine_.peers_.name(edge.peer) + " " + say(given, theirs.got)) +
          ": the counts of all ranks must fit each other",
      engine_.where(operation_, edge.peer));
}

// What a peer says of its scratch is believed no further than it makes sense.
void PutRun::require_scratch(const Edge& edge, std::uint64_t needed, std::uint64_t given) const {
  if (needed <= given) return;
  throw Error(ErrorCode::internal,
              engine_.peers_.name(edge.peer) + " announced scratch that does not fit " +
                  operation_.call().text() + ": please report this",
              engine_.where(operation_, edge.peer));
}

// Maps a buffer of the peer when a step loads or stores there, and not before: a peer to which no
// such step leads may have finished the operation, and its memory may be gone. False: not yet.
bool PutRun::map(Edge& edge, Buffer buffer) {
  const Plan& plan = *operation_.plan_;
  const auto mapped = [&](std::byte*& base, const RemoteAddress& address, std::size_t size) {
    if (base == nullptr) base = edge.endpoint->map(address, size);
    return base != nullptr;
  };
  switch (buffer) {
    case Buffer::input:
      return mapped(
          edge.input, edge.theirs.input,
          bytes(extents_ != nullptr ? extents_->got_from(edge.peer) : plan.input_count(edge.peer)));
    case Buffer::output:
      return mapped(edge.output, edge.theirs.output,
                    bytes(extents_ != nullptr ? extents_->given_to(edge.peer)
                                              : plan.output_count(edge.peer)));
    case Buffer::scratch:
      break;
  }
  return mapped(
      edge.scratch, edge.theirs.scratch,
      edge.theirs.turn_stride * edge.theirs.turns * static_cast<std::size_t>(plan.lanes()));
}

// --- steps ---------------------------------------------------------------------------------------

bool PutRun::advance() {
  bool moved = false;
  bool all_finished = true;
  for (std::size_t l = 0; l < operation_.lanes_.size(); ++l) {
    LaneState& state = operation_.lanes_[l];
    if (!state.finished) moved |= advance_lane(static_cast<Lane>(l), state);
    all_finished &= state.finished;
  }
  // Peers whose announcement no step needed (an operation of zero elements still compares).
  if (!all_finished) return moved;
  for (int peer : operation_.plan_->peers()) {
    operation_.waiting_for_ = peer;
    if (!bound(engine_.edge(peer))) return moved;
  }
  if (!release()) return moved;
  operation_.phase_ = Phase::flushing;
  return true;
}

// Moves a lane until it must wait, but at most through one reduce, so that the other lanes' puts
// are not held up behind several of them.
bool PutRun::advance_lane(Lane lane, LaneState& state) {
  const Plan& plan = *operation_.plan_;
  if (operation_.schedule_ == nullptr) {
    Edge& edge = engine_.edge(plan.peers().front());
    operation_.waiting_for_ = edge.peer;
    if (!bound(edge)) return false;
  }
  const Schedule& schedule = *operation_.schedule_;
  bool moved = false;
  while (state.instance < operation_.instances_) {
    while (state.step < schedule.steps()) {
      const Step step = schedule.step(state.step);
      if (concerns(step.peer, state.instance) &&
          !take(schedule, step, state.step, lane, state.instance)) {
        return moved;
      }
      moved = true;
      ++state.step;
      if (step.kind == StepKind::reduce && operation_.lanes_.size() > 1) return moved;
    }
    state.step = 0;
    state.instance += static_cast<std::uint64_t>(plan.lanes());
  }
  state.finished = true;
  return true;
}

bool PutRun::take(const Schedule& schedule, const Step& step, std::uint64_t i, Lane lane,
                  std::uint64_t instance) {
  switch (step.kind) {
    case StepKind::put:
      return put(step, lane, instance);
    case StepKind::signal: {
      Edge& edge = engine_.edge(step.peer);
      operation_.waiting_for_ = step.peer;
      if (!bound(edge)) return false;
      return left_out(step, edge, instance) || edge.endpoint->signal(lane);
    }
    case StepKind::wait:
      return wait(step, lane, instance);
    case StepKind::reduce:
      return reduce(schedule, step, i, instance);
    case StepKind::flush:
      return flushed();
  }
  return false;
}

bool PutRun::put(const Step& step, Lane lane, std::uint64_t instance) {
  Edge& edge = engine_.edge(step.peer);
  operation_.waiting_for_ = step.peer;
  if (!bound(edge)) return false;
  const collectives::LoweredPut lowered = collectives::lower_put(step, reach(edge, instance));
  const std::uint64_t count = std::min(clipped(step.source, instance, engine_.options_.rank),
                                       clipped(step.target, instance, step.peer));
  const std::byte* source = at(mine(instance), step.source, instance);
  if (lowered.into_kept && count != 0) {
    edge.endpoint->store(mine(instance).scratch + bytes(step.kept), {source, bytes(count)});
  }
  if (!lowered.carries_data || count == 0) return edge.endpoint->signal(lane);
  if (lowered.by_reference) {
    return put_reference(edge, step, {source, bytes(count)}, lane, instance);
  }
  return edge.endpoint->put(lane, {source, bytes(count)}, registration_of(edge, step.source.buffer),
                            remote(edge, step.target, lowered.into_shadow, instance));
}

bool PutRun::wait(const Step& step, Lane lane, std::uint64_t instance) {
  Edge& edge = engine_.edge(step.peer);
  operation_.waiting_for_ = step.peer;
  // The peer's put needs nothing of its announcement here, but what must be copied does.
  if (!bound(edge)) return false;
  if (left_out(step, edge, instance)) return true;
  if (edge.endpoint->arrived(lane) <= edge.consumed[lane]) return false;
  const std::uint64_t count = clipped(step.target, instance, engine_.options_.rank);
  const Bases bases = mine(instance);
  std::byte* const target = at(bases, step.target, instance);
  const std::byte* const shadow = bases.shadow + bytes(step.target.offset);
  const auto copy = [&](const std::byte* source) {
    engine_.scratch_.region()->kind().copy(
        target, source, bytes(count),
        streams() ? memory::Stores::streaming : memory::Stores::ordinary);
  };
  switch (count == 0 ? LoweredWait::nothing
                     : collectives::lower_wait(step, reach(edge, instance))) {
    case LoweredWait::nothing:
      break;
    case LoweredWait::copy:
      copy(shadow);
      break;
    case LoweredWait::fetch:
      if (!fetch(edge, step, instance, shadow, {target, bytes(count)})) return false;
      break;
    case LoweredWait::load: {
      const std::byte* const kept = kept_by(edge, step.kept, count, instance);
      if (kept == nullptr) return false;
      copy(kept);
      break;
    }
  }
  ++edge.consumed[lane];
  return true;
}

// How many elements of its slices a reduce has in an instance: all operands are cut alike, but
// those in scratch do not know where a block ends.
std::uint64_t PutRun::reduced(const Schedule& schedule, const Step& step, std::uint64_t i,
                              std::uint64_t instance) const {
  const auto clip = [&](const Operand& operand) {
    return clipped(operand.slice, instance, operand.owner);
  };
  std::uint64_t count = clip(schedule.source(i, 0));
  if (extents_ == nullptr && instance + 1 != operation_.instances_) return count;
  for (int j = 1; j < step.sources; ++j) count = std::min(count, clip(schedule.source(i, j)));
  for (int j = 0; j < step.destinations; ++j) {
    count = std::min(count, clip(schedule.destination(i, j)));
  }
  return count;
}

bool PutRun::reduce(const Schedule& schedule, const Step& step, std::uint64_t i,
                    std::uint64_t instance) {
  const std::uint64_t count = reduced(schedule, step, i, instance);
  engine_.sources_.clear();
  engine_.destinations_.clear();
  if (count == 0) return true;
  std::size_t streamed = 0;
  if (!find_sources(schedule, step, i, instance, count) ||
      !find_destinations(schedule, step, i, instance, count, streamed)) {
    return false;
  }
  if (engine_.destinations_.empty()) return true;
  const bool last =
      operation_.call().op == ReduceOp::avg && collectives::gives_results(schedule, i);
  engine_.combine(operation_, count, last, streamed);
  return true;
}

bool PutRun::find_sources(const Schedule& schedule, const Step& step, std::uint64_t i,
                          std::uint64_t instance, std::uint64_t count) {
  auto& sources = engine_.sources_;
  const Bases own = mine(instance);
  for (int j = 0; j < step.sources; ++j) {
    const Operand operand = schedule.source(i, j);
    if (operand.owner == engine_.options_.rank) {
      sources.push_back(at(own, operand.slice, instance));
      continue;
    }
    Edge& edge = engine_.edge(operand.owner);
    operation_.waiting_for_ = operand.owner;
    if (!bound(edge)) return false;
    switch (collectives::lower_source(operand, reach(edge, instance))) {
      case LoweredOperand::direct:
        if (!map(edge, operand.slice.buffer)) return false;
        if (operand.slice.buffer == Buffer::scratch) {
          require_scratch(edge, bytes(operand.slice.offset + count), edge.theirs.shadow_offset);
        }
        sources.push_back(at(theirs(edge, instance), operand.slice, instance));
        break;
      case LoweredOperand::kept:
        sources.push_back(kept_by(edge, operand.kept, count, instance));
        if (sources.back() == nullptr) return false;
        break;
      case LoweredOperand::shadow:
      case LoweredOperand::fallback:
      case LoweredOperand::dropped:
        sources.push_back(at(own, operand.fallback, instance));
        break;
    }
  }
  return true;
}

// Those that are stored past the caches come first; `streamed` counts them. What is merely copied
// to a peer is on its way at once.
bool PutRun::find_destinations(const Schedule& schedule, const Step& step, std::uint64_t i,
                               std::uint64_t instance, std::uint64_t count, std::size_t& streamed) {
  auto& destinations = engine_.destinations_;
  // An average's sum of one is still divided.
  const bool copies = step.sources == 1 && operation_.call().op != ReduceOp::avg;
  const auto add = [&](std::byte* place, bool past_caches, transport::Endpoint* peer = nullptr) {
    if (peer != nullptr && copies) {
      return peer->store(place, {engine_.sources_[0], bytes(count)});
    }
    const auto before = past_caches ? destinations.begin() + static_cast<std::ptrdiff_t>(streamed++)
                                    : destinations.end();
    destinations.insert(before, place);
  };
  const Bases own = mine(instance);
  const bool long_output = streams();
  for (int j = 0; j < step.destinations; ++j) {
    const Operand operand = schedule.destination(i, j);
    const bool output = operand.slice.buffer == Buffer::output && long_output;
    if (operand.owner == engine_.options_.rank) {
      add(at(own, operand.slice, instance), output);
      continue;
    }
    Edge& edge = engine_.edge(operand.owner);
    operation_.waiting_for_ = operand.owner;
    if (!bound(edge)) return false;
    switch (collectives::lower_destination(operand, reach(edge, instance))) {
      case LoweredOperand::direct:
        if (!map(edge, operand.slice.buffer)) return false;
        if (operand.slice.buffer == Buffer::scratch) {
          require_scratch(edge, bytes(operand.slice.offset + count), edge.theirs.shadow_offset);
        }
        add(at(theirs(edge, instance), operand.slice, instance), output || edge.endpoint->streams(),
            edge.endpoint);
        break;
      case LoweredOperand::shadow:
        if (!map(edge, Buffer::scratch)) return false;
        require_scratch(edge, bytes(operand.slice.offset + count),
                        edge.theirs.turn_stride - edge.theirs.shadow_offset);
        add(theirs(edge, instance).shadow + bytes(operand.slice.offset), edge.endpoint->streams(),
            edge.endpoint);
        break;
      case LoweredOperand::kept:
        add(own.scratch + bytes(operand.kept), false);
        break;
      case LoweredOperand::fallback:
      case LoweredOperand::dropped:
        break;
    }
  }
  return true;
}

// Whether what goes into outputs is stored past the caches: if it is too long to be found in one
// later, and nobody needs it before the end. A reduction in place has just loaded the very lines
// into a cache.
bool PutRun::streams() const {
  const Call& call = operation_.call();
  // With more than two, others than direct pass on what they have got.
  if (call.algorithm != Algorithm::direct && engine_.options_.size > 2) return false;
  if (reduces(call.collective) && operation_.input_ == operation_.output_) return false;
  return engine_.beyond_caches(operation_);
}

bool PutRun::flushed() {
  for (int peer : operation_.plan_->peers()) {
    if (engine_.edge(peer).endpoint->flushed()) continue;
    operation_.waiting_for_ = peer;
    return false;
  }
  return true;
}

}  // namespace paceline::engine
