#include "engine/engine.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/eager_run.h"
#include "engine/put_run.h"

namespace paceline::engine {

namespace {

/// Plans kept. A training step repeats a few dozen calls; a program that never repeats one must
/// not grow for ever.
constexpr std::size_t kMaxPlans = 1024;

}  // namespace

Engine::Engine(const PlanOptions& options, Nanoseconds timeout, Peers& peers,
               std::shared_ptr<memory::Registrar> registrar, std::size_t history)
    : options_(options),
      timeout_(timeout),
      peers_(peers),
      registrar_(std::move(registrar)),
      remembered_(std::max<std::size_t>(history, 1)),
      history_(history),
      message_history_(remembered_),
      scratch_(registrar_),
      staging_(registrar_, options.lap_bytes) {
  edges_.resize(static_cast<std::size_t>(options.size));
}

Engine::~Engine() {
  while (first_ != nullptr) take_first();
}

// --- calls in ------------------------------------------------------------------------------------

const std::shared_ptr<const Plan>& Engine::plan_for(const Call& call) {
  if (last_plan_ != nullptr && last_plan_->call() == call) return last_plan_;
  auto it = plans_.find(call);
  if (it == plans_.end()) {
    if (plans_.size() >= kMaxPlans) plans_.clear();  // running operations hold their own
    it = plans_.emplace(call, std::make_shared<const Plan>(call, options_)).first;
  }
  return last_plan_ = it->second;
}

std::shared_ptr<Operation> Engine::submit(const Call& call, const Buffers& buffers) {
  auto operation = std::make_shared<Operation>();
  operation->reset(plan_for(call), next_sequence_++, buffers);
  operation->queued_ = operation;
  enqueue(*operation);
  return operation;
}

void Engine::resubmit(const std::shared_ptr<Operation>& operation) {
  operation->again(next_sequence_++);
  operation->queued_ = operation;
  enqueue(*operation);
}

Operation& Engine::submit_blocking(const Call& call, const Buffers& buffers) {
  blocking_->reset(plan_for(call), next_sequence_++, buffers);
  if (first_ != nullptr || failure_) [[unlikely]] {
    enqueue(*blocking_);
  } else {
    append(*blocking_);
  }
  return *blocking_;
}

void Engine::enqueue(Operation& operation) {
  record(operation, first_ == nullptr);
  if (failure_) {
    history_.finish(operation.sequence_, Error::kNoRank, Outcome::failed, false);
    operation.fail(Error(failure_->code(), failure_->what(), where(operation, failure_->peer())));
    operation.queued_ = nullptr;
    return;
  }
  append(operation);
}

void Engine::append(Operation& operation) {
  (first_ == nullptr ? first_ : last_->next_) = &operation;
  last_ = &operation;
}

void Engine::take_first() {
  Operation& taken = *first_;
  first_ = std::exchange(taken.next_, nullptr);
  if (taken.queued_ == nullptr) return;
  const std::shared_ptr<Operation> owner = std::move(taken.queued_);  // and this ends it
}

void Engine::record(Operation& operation, bool first) {
  operation.recorded_ = true;
  vitals_.enter(operation.sequence_, operation.call());
  history_.submit(operation.sequence_, operation.call(), first);
}

// --- progress ------------------------------------------------------------------------------------

bool Engine::poll(Nanoseconds now) {
  now_ = now;
  const bool message_moved = !point_to_point_.idle() && point_to_point_.poll();
  if (first_ == nullptr) return message_moved;
  Operation& operation = *first_;
  const std::uint64_t sequence = operation.sequence_;
  const int awaited = operation.waiting_for_;
  if (advance(operation)) {  // which may have been the end of it
    const Nanoseconds since = vitals_.stopped_since();
    if (since != 0) history_.waited(sequence, awaited, now - since);
    vitals_.moved();
    return true;
  }
  // The deadline runs from the first turn in which nothing moved, so that a call that is done at
  // once never looks at the clock.
  if (vitals_.stopped_since() == 0 && now != 0) {
    Vitals::Stand where = stand(operation);
    where.since = now;
    vitals_.stopped(where);
  }
  return message_moved;
}

bool Engine::advance(Operation& operation) {
  bool moved = false;
  if (operation.phase_ == Phase::linking) {
    // What a peer waits for goes first: small calls are recorded when their messages are on the
    // way.
    if (operation.plan_ != linked_plan_) record_first(operation);
    if (!link(operation)) return false;
    moved = true;
  }
  if (operation.phase_ == Phase::announcing) {
    PutRun run(*this, operation);
    moved |= run.announce();
    if (operation.announced_ < operation.plan_->peers().size()) return moved;
    operation.phase_ = Phase::running;
  }
  if (operation.phase_ == Phase::running) {
    moved |= operation.plan_->eager() ? EagerRun(*this, operation).advance()
                                      : PutRun(*this, operation).advance();
  }
  if (operation.phase_ == Phase::flushing) {
    // A message was copied when it was sent; a put needs its source until it has left.
    if (!operation.plan_->eager()) {
      if (!PutRun(*this, operation).finish()) return moved;
    }
    finish(operation);
    return true;
  }
  return moved;
}

bool Engine::beyond_caches(const Operation& operation) const {
  const std::uint64_t touched =
      (input_count(operation) + output_count(operation)) * size_of(operation.call().type);
  return std::max<std::uint64_t>(touched, operation.given_.together) >= options_.streaming_bytes;
}

// Finds the endpoints, the scratch and the registrations that the operation needs.
bool Engine::link(Operation& operation) {
  const Plan& plan = *operation.plan_;
  if (operation.plan_ == linked_plan_) {
    operation.scratch_ = scratch_.region()->data();
    stage(operation);
    operation.phase_ = Phase::running;
    return true;
  }
  const bool beyond = beyond_caches(operation);
  bool all = true;
  bool unmapped = false;
  bool likes_to_keep = true;
  bool peers_like_to_keep = true;
  for (int peer : plan.peers()) {
    Edge& e = edge(peer);
    if (!connect(e)) {
      operation.waiting_for_ = peer;
      all = false;
      continue;  // ask for all of them at once
    }
    unmapped |= !e.endpoint->maps();
    e.endpoint->expect(beyond);
    likes_to_keep = likes_to_keep && e.endpoint->maps() && e.endpoint->keeps_lines();
    peers_like_to_keep = peers_like_to_keep && e.theirs.likes_to_keep;
  }
  if (!all) return false;

  stage(operation);
  if (plan.eager()) {
    // No peer reads it in this operation: no lines travel.
    operation.scratch_ = scratch_.first(plan.scratch_bytes(plan.turns()));
    linked_plan_ = operation.plan_;
    operation.phase_ = Phase::running;
    return true;
  }
  operation.schedule_ = plan.mapped_schedule() == nullptr ? &plan.schedule() : nullptr;
  const bool keeps = plan.keeps() && likes_to_keep && peers_like_to_keep;
  operation.likes_to_keep_ = likes_to_keep;
  operation.keeps_ = keeps;
  operation.turns_ = keeps ? plan.fewest_turns() : plan.turns();
  const std::size_t scratch = plan.scratch_bytes(operation.turns_);
  operation.scratch_ = keeps ? scratch_.first(scratch) : scratch_.take(scratch, options_.lap_bytes);
  const Extents* extents = operation.given_.extents.get();
  operation.instances_ =
      extents == nullptr ? plan.instances()
                         : (extents->longest() + plan.instance_count() - 1) / plan.instance_count();
  operation.lanes_.resize(static_cast<std::size_t>(plan.lanes()));
  for (std::size_t l = 0; l < operation.lanes_.size(); ++l) operation.lanes_[l].instance = l;
  const std::size_t element = size_of(operation.call().type);
  const auto region_of = [&](const std::byte* pointer,
                             std::uint64_t count) -> std::shared_ptr<memory::Region> {
    const std::size_t bytes = count * element;
    if (pointer == nullptr || bytes == 0) return nullptr;
    // A wire that maps gains nothing from registering somebody else's memory.
    return unmapped ? registrar_->cover(pointer, bytes) : registrar_->find(pointer, bytes);
  };
  const std::uint64_t inputs = input_count(operation);
  const std::uint64_t outputs = output_count(operation);
  operation.input_region_ = region_of(operation.input_, inputs);
  operation.output_region_ = operation.output_ == operation.input_ && inputs == outputs
                                 ? operation.input_region_
                                 : region_of(operation.output_, outputs);
  operation.phase_ = Phase::announcing;
  return true;
}

void Engine::finish(Operation& operation) {
  if (operation.staged_output_) [[unlikely]] {
    store(operation);
  }
  history_.finish(operation.sequence_, operation.waiting_for_, Outcome::succeeded, now_ == 0);
  operation.succeed();
  if (&operation == blocking_.get()) blocking_->given_.function = nullptr;  // may hold anything
  vitals_.leave();
  take_first();
}

Edge& Engine::new_edge(int peer) {
  auto& slot = edges_[static_cast<std::size_t>(peer)];
  slot = std::make_unique<Edge>();
  slot->peer = peer;
  return *slot;
}

std::vector<OperationRecord> Engine::records() const {
  return merged(history_.records(), message_history_.records(), remembered_);
}

// --- trouble -------------------------------------------------------------------------------------

void Engine::fail(const Error& error) {
  if (!failure_) failure_ = error;
  for (; first_ != nullptr; take_first()) {
    Operation* const operation = first_;
    record_first(*operation);
    history_.finish(operation->sequence_, operation->waiting_for_, Outcome::failed, false);
    operation->input_region_ = nullptr;
    operation->output_region_ = nullptr;
    operation->error_ =
        Error(failure_->code(), failure_->what(), where(*operation, failure_->peer()));
    operation->phase_ = Phase::failed;
    operation->finished_.store(true, std::memory_order_release);
  }
  point_to_point_.fail(*failure_);
  // Endpoints are about to be closed; nothing here may use them again.
  linked_plan_ = nullptr;
  for (auto& e : edges_) e = nullptr;
}

Error::Where Engine::where(const Operation& operation, int peer) const {
  return {options_.rank, peer, operation.call().text(), operation.sequence_};
}

// Sends and recvs are not among the calls that are numbered alike on all ranks.
Error::Where Engine::where(const Message& message, int peer) const {
  return {options_.rank, peer, message.call.text()};
}

void Engine::refuse(const Operation& operation, const Edge& edge, ConstBytes message) const {
  const std::string peer = peers_.name(edge.peer);
  const std::string me = "rank " + std::to_string(options_.rank);
  if (message.size() < kHeaderBytes || Header::read(message.data()).version() != kMessageVersion) {
    throw Error(ErrorCode::transport_failed,
                peer +
                    " sent a message that is not one of this version's: both ranks must run the "
                    "same version of the library",
                where(operation, edge.peer));
  }
  const Header header = Header::read(message.data());
  const std::optional<Call> mine = vitals_.call_at(header.sequence());
  const std::string rule = ": all ranks must make the same calls in the same order";
  if (mine && *mine != header.call()) {
    throw Error(ErrorCode::mismatch,
                peer + " called " + told_apart(header.call(), *mine) + " as call #" +
                    std::to_string(header.sequence()) + " where " + me + " called " +
                    told_apart(*mine, header.call()) + rule,
                where(operation, edge.peer));
  }
  if (!mine) {
    throw Error(ErrorCode::mismatch,
                peer + " has gone on to " + numbered(header.sequence(), header.call()) +
                    " without taking part in what " + me + " called, " +
                    numbered(operation.sequence_, operation.call()) + rule,
                where(operation, edge.peer));
  }
  throw Error(ErrorCode::internal,
              peer + " sent a message of " + numbered(header.sequence(), header.call()) + " (" +
                  std::to_string(message.size()) + " bytes) that " + me +
                  " did not expect: please report this",
              where(operation, edge.peer));
}

Vitals::Stand Engine::stand(const Operation& operation) const {
  Vitals::Stand stand;
  stand.phase = operation.phase_;
  stand.waiting_for = operation.waiting_for_;
  if (operation.phase_ != Phase::running) return stand;
  const Plan& plan = *operation.plan_;
  if (plan.eager()) {
    stand.step = operation.eager_step_;
    stand.steps = plan.eager_program().steps.size();
    return stand;
  }
  const auto lanes = static_cast<std::uint64_t>(plan.lanes());
  for (std::uint64_t l = 0; l < operation.lanes_.size(); ++l) {
    const LaneState& lane = operation.lanes_[l];
    if (lane.finished) continue;
    const std::uint64_t per_instance =
        (operation.schedule_ == nullptr ? plan.schedule() : *operation.schedule_).steps();
    const std::uint64_t step = lane.instance / lanes * per_instance + lane.step;
    if (stand.steps != 0 && step >= stand.step) continue;
    stand.step = step;
    // A lane may have none, if blocks have a length per rank.
    stand.steps = (std::max(operation.instances_, l) - l + lanes - 1) / lanes * per_instance;
  }
  return stand;
}

void Engine::throw_timeout(const Operation& operation) const {
  const int peer = operation.waiting_for_;
  throw Error(ErrorCode::timeout,
              numbered(operation.sequence_, operation.call()) + " on rank " +
                  std::to_string(options_.rank) + " made no progress for " +
                  std::to_string(timeout_ / kMillisecond) + " ms: it waits for " +
                  (peer == Error::kNoRank ? "a peer" : peers_.name(peer)) +
                  "; raise PACELINE_TIMEOUT if ranks are rightly that far apart",
              where(operation, peer));
}

void Engine::examine_stall(Nanoseconds now) {
  point_to_point_.examine(now);
  if (first_ == nullptr) return;
  Operation& operation = *first_;
  if (const Nanoseconds time = stalled(now); time != 0) {
    history_.waited(operation.sequence_, operation.waiting_for_, time);
  }
  // Announcements are read when a step needs them; a time-out wants to know of all of them.
  if (operation.phase_ == Phase::running && !operation.plan_->eager()) {
    for (int peer : operation.plan_->peers()) PutRun(*this, operation).bound(edge(peer));
  }
  for (const auto& e : edges_) {
    if (e == nullptr || e->endpoint == nullptr) continue;
    ConstBytes message = look(*e, operation.waiting_for_);
    if (!message.empty() && take_cell(*e)) message = look(*e, operation.waiting_for_);
    if (message.size() < kHeaderBytes) continue;
    const Header header = Header::read(message.data());
    // A peer that runs ahead is in order; one that calls something else at this point is not.
    if (header.sequence() <= operation.sequence_ && header.call() != operation.call()) {
      refuse(operation, *e, message);
    }
  }
  Vitals::Stand where = stand(operation);
  where.since = vitals_.stopped_since();
  if (where.since == 0) return;
  vitals_.stopped(where);
  if (now - where.since > timeout_) throw_timeout(operation);
}

// A broken link matters only if it is the one we wait for: any other peer may be done and gone.
ConstBytes Engine::look(const Edge& edge, int waiting_for) {
  if (edge.peer == waiting_for) return edge.endpoint->front();
  try {
    return edge.endpoint->front();
  } catch (const Error&) {
    return {};
  }
}

}  // namespace paceline::engine
