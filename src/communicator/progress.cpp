// Who moves a communicator along, and how they wait.
#include <immintrin.h>
#include <poll.h>
#include <sched.h>

#include <ctime>

#include "communicator/core.h"

namespace paceline {

namespace {

/// How often a waiting rank looks for what a turn does not show: a peer that calls something
/// else, a link that broke, a passed deadline.
constexpr Nanoseconds kExamineEvery = 2 * kMillisecond;

/// How often a thread in a blocking call asks whether to go on: a person who presses Ctrl-C takes
/// 0.1 s for at once, and who waits that long pays nothing for a question that takes a lock.
constexpr Nanoseconds kAskEvery = 50 * kMillisecond;

/// How long the service thread stays with one communicator before others get a turn.
constexpr Nanoseconds kPumpTime = kMillisecond;

/// What a call has to say is said before the wires are asked for news, which takes as long as a
/// small message. A wait that finds what it needs does not ask at all; one in so many does.
constexpr std::uint32_t kWaitsPerProgress = 16;

}  // namespace

// One turn; true if anything moved. Concludes on failure, which finishes every operation.
bool CommunicatorCore::turn(Nanoseconds now, Wires wires) {
  if (noticed_.load(std::memory_order_relaxed) || suspicion_) {
    look_at_suspicion();
    return error_.has_value();
  }
  try {
    if (wires == Wires::move) links_->progress();
    const bool moved = engine_->poll(now);
    if (moved && watchers_.any()) watchers_.tell();
    return moved;
  } catch (const Error& error) {
    found(error);
    return true;
  }
}

void CommunicatorCore::examine(Nanoseconds now) {
  if (now - examined_ < kExamineEvery || suspicion_) return;
  examined_ = now;
  try {
    engine_->examine_stall(now);
    warn_of_stall(now);
    warn_of_waiting_message(now);
  } catch (const Error& error) {
    found(error);
  }
}

// Once per call, half way to its deadline.
void CommunicatorCore::warn_of_stall(Nanoseconds now) {
  const engine::Operation* operation = engine_->current();
  const Nanoseconds stalled = engine_->stalled(now);
  const Nanoseconds timeout = std::chrono::nanoseconds(config_.timeout).count();
  if (operation == nullptr || stalled < timeout / 2 || warned_of_ == operation->sequence()) return;
  warned_of_ = operation->sequence();
  log_.warning(LogComponent::engine, [&] {
    const int peer = operation->waiting_for();
    return operation->call().text() + " as call #" + std::to_string(operation->sequence()) +
           " has not moved for " + std::to_string(stalled / kMillisecond) + " ms, it waits for " +
           (peer == Error::kNoRank ? "a peer" : roster_.name(peer)) + "; it fails at " +
           std::to_string(timeout / kMillisecond) + " ms (PACELINE_TIMEOUT)";
  });
}

// The same of the send or recv that has waited longest.
void CommunicatorCore::warn_of_waiting_message(Nanoseconds now) {
  const engine::Vitals::MessageStand stand = engine_->vitals().message_stand();
  const Nanoseconds timeout = std::chrono::nanoseconds(config_.timeout).count();
  if (stand.since == 0 || now - stand.since < timeout / 2 || warned_of_message_ == stand.call)
    return;
  warned_of_message_ = stand.call;
  log_.warning(LogComponent::engine, [&] {
    return stand.call.text() + " has not moved for " +
           std::to_string((now - stand.since) / kMillisecond) + " ms; it fails at " +
           std::to_string(timeout / kMillisecond) + " ms (PACELINE_TIMEOUT)";
  });
}

void CommunicatorCore::drive(engine::Completion& operation, Nanoseconds until) {
  if (!operation.finished()) {
    turn(0, ++waits_ % kWaitsPerProgress == 0 ? Wires::move : Wires::leave);
    if (!operation.finished()) go_on(operation, until);
  }
  write_trace_of_failure();
  // What the wire has not taken yet must not depend on the next call.
  if (!links_->flushed()) start_pump();
}

// Turn by turn, until the operation ends or the time has come.
void CommunicatorCore::go_on(engine::Completion& operation, Nanoseconds until) {
  engine::Waiter waiter(roster_.ranks_per_core(), crowd_.seen());
  Nanoseconds ask_at = 0;
  while (!operation.finished()) {
    if (turn(waiter.now())) {
      waiter.reset();
      continue;
    }
    const engine::Pause pause = waiter.next();
    if (pause == engine::Pause::spin) {
      _mm_pause();
      continue;
    }
    const Nanoseconds now = waiter.now();
    examine(now);
    if (until != kUntilItEnds && now >= until) break;
    if (ask_ && until == kUntilItEnds && now >= ask_at) {
      if (ask_at != 0) ask_whether_to_go_on();
      ask_at = now + kAskEvery;
    }
    if (pause == engine::Pause::sleep) {
      sleep(waiter.sleep_length());
    } else if (roster_.ranks_per_core() > 1) {  // a crowd, whatever others do
      ::sched_yield();
    } else {
      const Nanoseconds before = steady_now();
      ::sched_yield();
      crowd_.yielded(steady_now() - before);
    }
  }
}

void CommunicatorCore::sleep(Nanoseconds longest) {
  descriptors_.clear();
  if (!suspicion_ && !links_->prepare_sleep(descriptors_)) return;
  const timespec time{0, longest};
  ::ppoll(descriptors_.data(), descriptors_.size(), &time, nullptr);
}

// --- the service thread --------------------------------------------------------------------------

// Any thread: makes sure that the service thread takes care of this communicator until nothing is
// left to do.
void CommunicatorCore::start_pump() {
  if (pumping_.exchange(true, std::memory_order_acq_rel)) return;
  const std::weak_ptr<CommunicatorCore> weak = weak_from_this();
  service_->post([weak] {
    if (const auto self = weak.lock()) self->pump();
  });
}

// Somebody else is the owner of progress, or nothing has moved for a while: come back later.
void CommunicatorCore::pump_later(Nanoseconds delay) {
  const std::weak_ptr<CommunicatorCore> weak = weak_from_this();
  service_->after(std::chrono::nanoseconds(delay), [weak] {
    if (const auto self = weak.lock()) self->pump();
  });
}

void CommunicatorCore::pump() {
  const std::unique_lock guard(*lock_, std::try_to_lock);
  if (!guard.owns_lock()) return pump_later(kMillisecond);
  if (error_) return;  // nothing will ever be left to do
  const Nanoseconds begin = steady_now();
  Nanoseconds now = begin;
  bool moved_at_all = false;
  bool busy = true;
  while (busy && now - begin < kPumpTime) {
    const bool moved = turn(now);
    moved_at_all |= moved;
    if (!moved) ::sched_yield();
    now = steady_now();
    if (error_) return;
    busy = !engine_->idle() || links_->making() || !links_->flushed() || suspicion_;
    if (!moved && now - begin > engine::Waiter::kSpinTime) break;
  }
  if (!busy) {
    pumping_.store(false, std::memory_order_release);
    return;
  }
  examine(now);
  if (moved_at_all) {
    pump_waiter_.reset();
    return pump_later(0);
  }
  pump_later(pump_waiter_.sleep_length());
}

}  // namespace paceline
