// From the first sign of trouble to the one error that everybody sees.
#include <utility>

#include "communicator/core.h"
#include "communicator/verdict.h"

namespace paceline {

namespace {

/// A wire that breaks is mostly the echo of something else: a rank that died, or one that closed
/// its links because it knows of a failure. That news travels over the control links, within
/// milliseconds; only when it does not come is the wire itself to blame.
constexpr Nanoseconds kNewsTime = kSecond;
/// A rank that leaves closes its wires and says goodbye at the same time. After so long its
/// neighbours have heard it, and can tell.
constexpr Nanoseconds kGoodbyeTime = 100 * kMillisecond;

/// How long the ranks are given to say what they are doing: service threads answer within
/// milliseconds, on a machine with many ranks per core within a second.
constexpr Nanoseconds kInquiryTime = 2 * kSecond;

/// For texts that do not say themselves what was being called.
bool names_the_call(ErrorCode code) {
  return code == ErrorCode::timeout || code == ErrorCode::mismatch;
}

}  // namespace

// Service thread, or any thread that calls abort(). Only the first notice counts.
void CommunicatorCore::on_notice(const bootstrap::FailureNotice& notice) {
  {
    const std::lock_guard guard(notice_lock_);
    if (!notice_) notice_ = notice;
  }
  noticed_.store(true, std::memory_order_release);
  // If a thread owns progress it sees the flag within a turn. If nobody does, conclude here: late
  // puts must be kept out of the caller's memory also when it never calls again.
  const std::unique_lock guard(*lock_, std::try_to_lock);
  if (guard.owns_lock()) look_at_suspicion();
}

std::optional<bootstrap::FailureNotice> CommunicatorCore::notice() {
  const std::lock_guard guard(notice_lock_);
  return notice_;
}

void CommunicatorCore::throw_if_failed() {
  if (noticed_.load(std::memory_order_acquire)) look_at_suspicion();
  if (!error_) return;
  write_trace_of_failure();
  throw Error(*error_);
}

void CommunicatorCore::throw_if_failed(engine::Completion& operation) {
  if (!operation.error()) return;
  const std::lock_guard guard(*lock_);
  write_trace_of_failure();
  throw Error(*operation.error());
}

// What this rank has found itself.
void CommunicatorCore::found(const Error& error) {
  if (error_ || suspicion_) return;
  switch (error.code()) {
    case ErrorCode::transport_failed:
    case ErrorCode::peer_failed:
      return suspect(error, kGoodbyeTime, kNewsTime);
    case ErrorCode::timeout:
      suspect(error, 0, kInquiryTime + kNewsTime);
      return look_at_suspicion();
    // A peer may have gone on from the call on which it differs: the others know which it was.
    case ErrorCode::mismatch:
      // Of a send and its recv both calls are known.
      if (error.sequence() == Error::kNoSequence) return blame(error);
      suspect(error, 0, kNewsTime);
      return look_at_suspicion();
    case ErrorCode::invalid_argument:
    case ErrorCode::invalid_configuration:
    case ErrorCode::bootstrap_failed:
    case ErrorCode::authentication_failed:
    case ErrorCode::aborted:
    case ErrorCode::out_of_memory:
    case ErrorCode::unsupported:
    case ErrorCode::internal:
      return blame(error);
  }
}

// From here on nothing moves: wires may be half broken.
void CommunicatorCore::suspect(const Error& error, Nanoseconds ask_after, Nanoseconds patience) {
  const Nanoseconds now = steady_now();
  suspicion_ = Suspicion{error, now + patience, now + ask_after};
}

// News wins over what this rank suspects. Without any, it is right.
void CommunicatorCore::look_at_suspicion() {
  if (error_) return;
  if (const auto news = notice()) return conclude(error_from(*news));
  if (!suspicion_) return;
  const Nanoseconds now = steady_now();
  if (suspicion_->ask_at != 0 && now >= suspicion_->ask_at) {
    suspicion_->ask_at = 0;
    ask_around();
  }
  if (now >= suspicion_->until) blame(suspicion_->error);
}

// What this rank found becomes the news, unless there is some already.
void CommunicatorCore::blame(const Error& error) {
  if (const auto news = notice()) return conclude(error_from(*news));
  bootstrap::FailureNotice mine;
  mine.code = error.code();
  mine.origin = config_.rank;
  mine.culprit = error.peer();
  mine.sequence = error.sequence();
  mine.text = error.what();
  bootstrap_->announce_failure(mine);
  conclude(error);
}

void CommunicatorCore::conclude(Error error) {
  error_ = std::move(error);
  log_.warning(LogComponent::communicator, [&] { return last_calls(); });
  noticed_.store(true, std::memory_order_release);
  links_->close();
  registrar_->close(memory::Registrar::Sever::yes);
  engine_->fail(*error_);
  watchers_.tell();
}

// For the log, beside the error.
std::string CommunicatorCore::last_calls() const {
  constexpr std::size_t kShown = 4;  // Communicator::history() has them all
  const std::vector<OperationRecord> all = engine_->records();
  if (all.empty()) return "no call was made before the failure";
  std::string text = "last calls:";
  for (std::size_t i = all.size() > kShown ? all.size() - kShown : 0; i < all.size(); ++i) {
    const OperationRecord& r = all[i];
    const bool numbered = r.kind == CallKind::collective;
    text += text.back() == ':' ? " " : "; ";
    if (numbered) text += "#" + std::to_string(r.sequence) + " ";
    text += engine::text_of(r) + " " + std::string(to_string(r.outcome));
    if (r.waited_for != Error::kNoRank && r.outcome != Outcome::succeeded) {
      text += ", waiting for rank " + std::to_string(r.waited_for);
    }
  }
  return text;
}

// What is every rank doing? Not called back if nobody can be asked any more.
void CommunicatorCore::ask_all(std::function<void(CommunicatorCore&, Answers)> answered) {
  const std::weak_ptr<CommunicatorCore> weak = weak_from_this();
  const auto read = [weak, answered = std::move(answered)](
                        const std::optional<bootstrap::Testimonies>& testimonies) {
    const auto self = weak.lock();
    if (self == nullptr || !testimonies) return;
    Answers answers(static_cast<std::size_t>(self->config_.size));
    for (const auto& [rank, bytes] : *testimonies) {
      answers[static_cast<std::size_t>(rank)] = Testimony::read(bytes);
    }
    answered(*self, std::move(answers));
  };
  bootstrap_->inquire(bootstrap::Topic::hang, {}, std::chrono::nanoseconds(kInquiryTime), read);
}

// A deadline has passed, or a wire has broken. The answer comes as news.
void CommunicatorCore::ask_around() {
  if (const auto& message = engine_->point_to_point().late()) return ask_about(*message);
  const engine::Operation* const current = engine_->current();
  if (current == nullptr) {
    const auto call = engine_->point_to_point().call_with(suspicion_->error.peer());
    if (call) ask_about({*call, steady_now()});
    return;
  }
  const bool late = suspicion_->error.code() == ErrorCode::timeout;
  Hang hang;
  hang.asker = config_.rank;
  hang.sequence = current->sequence();
  hang.call = current->call();
  hang.waited = engine_->stalled(steady_now());
  ask_all([late, hang](CommunicatorCore& self, Answers ranks) mutable {
    hang.ranks = std::move(ranks);
    self.log_.warning(LogComponent::communicator, [&] { return progress_text(hang.ranks); });
    hang.name = [&](int rank) { return self.roster_.name(rank); };
    const std::optional<Verdict> verdict = late ? judge(hang) : judge_broken_wire(hang);
    if (!verdict) return;
    self.bootstrap_->announce_failure(
        {verdict->code, hang.asker, verdict->culprit, hang.sequence, verdict->text});
  });
}

// The same of a send or recv.
void CommunicatorCore::ask_about(const engine::MessageWait& wait) {
  const bool late = suspicion_->error.code() == ErrorCode::timeout;
  MessageHang hang;
  hang.asker = config_.rank;
  hang.call = wait.call;
  hang.waited = steady_now() - wait.since;
  hang.awaited = engine_->point_to_point().awaited(wait);
  ask_all([late, hang](CommunicatorCore& self, Answers ranks) mutable {
    hang.ranks = std::move(ranks);
    hang.name = [&](int rank) { return self.roster_.name(rank); };
    const Verdict verdict = judge_message(hang);
    // A wire that has broken before any deadline is to blame itself, unless the peer has left.
    if (!late && verdict.code != ErrorCode::peer_failed) return;
    self.bootstrap_->announce_failure(
        {verdict.code, hang.asker, verdict.culprit, Error::kNoSequence, verdict.text});
  });
}

Error CommunicatorCore::error_from(const bootstrap::FailureNotice& news) const {
  std::string text = news.text;
  Error::Where where{config_.rank, news.culprit};
  if (const engine::Operation* const current = engine_->current()) {
    where.operation = current->call().text();
    where.sequence = current->sequence();
    if (!names_the_call(news.code)) {
      text += " (rank " + std::to_string(config_.rank) + " was in call #" +
              std::to_string(where.sequence) + ", " + where.operation + ")";
    }
  } else if (const auto stand = engine_->vitals().message_stand(); stand.since != 0) {
    where.operation = stand.call.text();
    if (!names_the_call(news.code)) {
      text += " (rank " + std::to_string(config_.rank) + " was in " + where.operation + ")";
    }
  }
  return {news.code, text, where};
}

void CommunicatorCore::abort(const std::string& reason) {
  bootstrap::FailureNotice notice;
  notice.code = ErrorCode::aborted;
  notice.origin = config_.rank;
  notice.culprit = config_.rank;
  notice.text = roster_.name(config_.rank) + " aborted the communicator: " + reason;
  bootstrap_->announce_failure(notice);
  on_notice(notice);
}

// --- being asked

Bytes CommunicatorCore::testify(bootstrap::Topic) {
  const Nanoseconds now = steady_now();
  sample();
  Testimony t = take_testimony(engine_->vitals(), now);
  if (!t.inside()) t.quiet_for = now - sample_.changed;
  if (t.inside() && t.stand.waiting_for >= 0 && t.stand.waiting_for < config_.size) {
    t.wire = links_->wire(t.stand.waiting_for);
  }
  t.failed = failed();
  t.departed = bootstrap_->departed();
  return t.write();
}

void CommunicatorCore::sample() {
  const engine::Vitals& vitals = engine_->vitals();
  const std::uint64_t entered = vitals.entered();
  const std::uint64_t finished = vitals.finished();
  const std::uint64_t messages = vitals.messages();
  const Sample now{entered, finished, messages, sample_.changed};
  if (sample_.changed != 0 && now == sample_) return;
  sample_ = {entered, finished, messages, steady_now()};
}

}  // namespace paceline
