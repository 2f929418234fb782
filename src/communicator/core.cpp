#include "communicator/core.h"

#include <algorithm>
#include <utility>

#include "communicator/tuning.h"
#include "memory/stores.h"

namespace paceline {

namespace {

/// How long a rank that leaves goes on to push what peers still have to get. They are in the same
/// program and about to read it; one that does not within this time is in trouble of its own.
constexpr Nanoseconds kLeaveTime = 2 * kSecond;

/// For "has made no call for at least ... ": heartbeats wake the service thread as often.
constexpr Nanoseconds kSampleEvery = kSecond;

}  // namespace

std::shared_ptr<CommunicatorCore> CommunicatorCore::create(const Config& config,
                                                           std::shared_ptr<Store> store,
                                                           const std::string& name,
                                                           const TuningText* tuning) {
  config.validate();
  std::shared_ptr<CommunicatorCore> core(
      new CommunicatorCore(config, std::move(store), name, tuning));
  const std::weak_ptr<CommunicatorCore> weak = core;
  bootstrap::Events events;
  events.failed = [weak](const bootstrap::FailureNotice& notice) {
    if (const auto self = weak.lock()) self->on_notice(notice);
  };
  events.link_ready = [weak] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->links_->news_arrived();
    self->start_pump();
  };
  events.testify = [weak](bootstrap::Topic topic, ConstBytes) {
    const auto self = weak.lock();
    return self == nullptr ? Bytes() : self->testify(topic);
  };
  core->bootstrap_->watch(std::move(events));
  core->service_->every(std::chrono::nanoseconds(kSampleEvery), [weak] {
    if (const auto self = weak.lock()) self->sample();
  });
  core->door_ = StatusDoor::of_this_process();
  if (core->door_ != nullptr) core->door_->add(core);
  return core;
}

CommunicatorCore::CommunicatorCore(const Config& config, std::shared_ptr<Store> store,
                                   const std::string& name, const TuningText* tuning)
    : config_(config), name_(name), log_(config, name) {
  const std::string host_id =
      config_.host_id.empty() ? bootstrap::default_host_id() : config_.host_id;
  links_ = std::make_unique<Links>(config_, host_id, log_);
  bootstrap_ = bootstrap::create(config_, std::move(store), name, log_);

  RankCard card = RankCard::mine(config_, host_id);
  links_->describe(card);
  if (config_.rank == 0) card.tuning = tuning != nullptr ? *tuning : read_tuning(config_.tuning);
  roster_ = Roster(config_.rank, bootstrap_->all_gather(card.write()));
  pump_waiter_ = engine::Waiter(std::max(2, roster_.ranks_per_core()));
  config_.algorithm = roster_[0].algorithm;
  config_.eager_bytes = roster_[0].eager_bytes;
  config_.segment_bytes = roster_[0].segment_bytes;
  config_.lanes = roster_[0].lanes;
  config_.validate();
  links_->choose(roster_, *bootstrap_);
  const collectives::Policy policy = make_policy();
  choices_ = collectives::Choices(policy);

  registrar_ = std::make_shared<memory::Registrar>(links_->transports(), lock_, log_);
  engine::PlanOptions options;
  options.rank = config_.rank;
  options.size = config_.size;
  options.eager_bytes = policy.eager_bytes;
  options.eager_piece_bytes = policy.eager_piece_bytes;
  options.streaming_bytes = memory::streaming_pays_from();
  // Ranks that share a core share its caches. And a wire that moves bytes by itself reads and
  // writes scratch best where it is in one.
  if (links_->all_mapped()) {
    options.lap_bytes = engine::lap_past_second_cache() /
                        static_cast<std::size_t>(std::max(1, roster_.ranks_per_core()));
  }
  options.choices = &choices_;
  options.log = log_;
  options.placement = roster_.placement();
  const auto timeout = std::chrono::duration_cast<std::chrono::nanoseconds>(config_.timeout);
  engine_ = std::make_unique<engine::Engine>(options, timeout.count(), *links_, registrar_,
                                             config_.history);
  service_ = std::make_unique<ServiceClient>();
}

CommunicatorCore::~CommunicatorCore() {
  leave();
}

void CommunicatorCore::leave() noexcept {
  if (service_ == nullptr) return;
  service_->detach();
  const std::lock_guard guard(*lock_);
  if (left_) return;
  left_ = true;
  if (group_ && !group_->empty()) {
    log_.warning(LogComponent::communicator, [&] {
      return "the communicator is destroyed in a group that was never ended: its " +
             std::to_string(group_->size()) + " calls are dropped";
    });
  }
  if (!error_) {
    const Error error(ErrorCode::aborted,
                      "the communicator was destroyed while this operation was under way: wait for "
                      "all Work before",
                      {config_.rank});
    try {
      const Nanoseconds end = steady_now() + kLeaveTime;
      engine_->fail(error);
      while (!links_->flushed() && steady_now() < end) {
        links_->progress();
        sleep(engine::Waiter::kShortestSleep);
      }
    } catch (const Error&) {
      // A peer that broke off needs nothing from us any more.
    }
    error_ = error;
  }
  bootstrap_->leave();
  links_->close();
  registrar_->close(memory::Registrar::Sever::no);
  watchers_.tell();
  write_trace();
}

Usage CommunicatorCore::usage() {
  const bootstrap::BootstrapUsage control = bootstrap_->usage();
  const std::lock_guard guard(*lock_);
  Usage usage;
  const transport::Footprint links = links_->footprint(usage.links);
  usage.scratch_bytes = engine_->scratch_bytes();
  // Scratch is allocated like any other memory.
  usage.allocated_bytes = registrar_->bytes(memory::Origin::allocated) - usage.scratch_bytes;
  usage.registered_bytes = registrar_->bytes(memory::Origin::explicit_);
  usage.link_bytes = links.bytes;
  usage.control_links = control.control_links;
  usage.descriptors = links.descriptors + control.descriptors;
  usage.rounds = control.rounds;
  return usage;
}

ReadyCall CommunicatorCore::ready(const Arguments& arguments) const {
  const Blocks mine = arguments.check_signature(config_.rank, config_.size);
  arguments.check_buffers(config_.rank, mine);
  return {arguments.call(), arguments.buffers(mine)};
}

ReadyCall CommunicatorCore::ready(const UnevenArguments& arguments) const {
  engine::Buffers buffers = arguments.buffers(config_.rank, config_.size);
  return {arguments.call(), std::move(buffers)};
}

engine::Call CommunicatorCore::with_algorithm(engine::Call call) const {
  if (call.algorithm == Algorithm::automatic) {
    // `direct` combines in the order of the ranks.
    call.algorithm = call.op == ReduceOp::custom
                         ? Algorithm::direct
                         : choose_algorithm(call.collective, call.count * size_of(call.type));
  }
  return call;
}

void CommunicatorCore::run(const Arguments& arguments) {
  const std::lock_guard guard(*lock_);
  if (!known_.is(arguments)) [[unlikely]] {
    const Blocks mine = arguments.check_signature(config_.rank, config_.size);
    known_.learn(arguments, mine, with_algorithm(arguments.call()));
  }
  arguments.check_buffers(config_.rank, known_.blocks());
  throw_if_failed();
  if (group_) [[unlikely]] {
    group_->push_back({arguments.call(), arguments.buffers(known_.blocks())});
    return;
  }
  run_now(known_.call(), arguments.buffers(known_.blocks()));
}

void CommunicatorCore::run_ready(ReadyCall ready) {
  const std::lock_guard guard(*lock_);
  throw_if_failed();
  if (group_) [[unlikely]] {
    group_->push_back(std::move(ready));
    return;
  }
  run_now(with_algorithm(ready.call), ready.buffers);
}

void CommunicatorCore::run_now(const engine::Call& call, const engine::Buffers& buffers) {
  engine::Operation& operation = engine_->submit_blocking(call, buffers);
  drive(operation);
  throw_if_failed(operation);
}

std::shared_ptr<engine::Operation> CommunicatorCore::start_ready(const ReadyCall& ready) {
  const std::lock_guard guard(*lock_);
  throw_if_failed();
  refuse_in_group("a call that returns Work");
  auto operation = engine_->submit(with_algorithm(ready.call), ready.buffers);
  turn(0);
  if (!operation->finished()) start_pump();
  return operation;
}

void CommunicatorCore::restart(const std::shared_ptr<engine::Operation>& operation) {
  const std::lock_guard guard(*lock_);
  throw_if_failed();
  refuse_in_group("Work::restart()");
  resubmit(operation);
  turn(0);
  if (!operation->finished()) start_pump();
}

// Of a group, all operations in their order.
void CommunicatorCore::resubmit(const std::shared_ptr<engine::Operation>& operation) {
  if (operation->before() != nullptr) resubmit(operation->before());
  engine_->resubmit(operation);
}

void CommunicatorCore::wait(engine::Completion& operation) {
  if (!operation.finished()) {
    const std::lock_guard guard(*lock_);
    drive(operation);
  }
  throw_if_failed(operation);
}

bool CommunicatorCore::done(engine::Completion& operation) {
  if (operation.finished()) return true;
  // Whoever has the lock is making progress.
  const std::unique_lock guard(*lock_, std::try_to_lock);
  if (guard.owns_lock()) turn(steady_now());
  return operation.finished();
}

}  // namespace paceline
