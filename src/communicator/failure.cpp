// From the first sign of trouble to the one error that everybody sees.
#include <chrono>
#include <thread>

#include "communicator/core.h"

namespace paceline {

namespace {

/// A peer that does not go on mostly waits for another one. A wire that breaks is mostly the echo
/// of something else: a rank that died, or one that closed its links because it knows of a failure.
/// That news travels over the control tree, within milliseconds; only when it does not come is what
/// we see itself to blame.
constexpr auto kNewsTime = std::chrono::milliseconds(1000);

Bytes call_bytes(const engine::Call& call) {
  return WireWriter().u64(call.word()).u64(call.count).take();
}

std::optional<engine::Call> call_from(ConstBytes bytes) {
  WireReader r(bytes);
  const std::uint64_t word = r.u64();
  const std::uint64_t count = r.u64();
  if (!r.finished()) return std::nullopt;
  return engine::Call::from_words(word, count);
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
  if (guard.owns_lock()) conclude(std::nullopt);
}

std::optional<bootstrap::FailureNotice> CommunicatorCore::notice() {
  const std::lock_guard guard(notice_lock_);
  return notice_;
}

void CommunicatorCore::throw_if_failed() {
  if (noticed_.load(std::memory_order_acquire)) conclude(std::nullopt);
  if (error_) throw Error(*error_);
}

void CommunicatorCore::conclude(const std::optional<Error>& found) {
  if (error_) return;
  error_ = settle(found);
  noticed_.store(true, std::memory_order_release);
  links_->close();
  registrar_->close(memory::Registrar::Sever::yes);
  engine_->fail(*error_);
}

// A broken wire, and a peer that does not go on although it has entered the call.
bool CommunicatorCore::may_be_an_echo(const Error& found) const {
  return found.code() == ErrorCode::transport_failed || found.code() == ErrorCode::peer_failed ||
         (found.code() == ErrorCode::timeout && !engine_->waits_for_the_absent());
}

// Which error everybody sees: the news from the control tree if there is any, else what this rank
// has found, which then becomes the news.
Error CommunicatorCore::settle(const std::optional<Error>& found) {
  if (found && may_be_an_echo(*found)) {
    const auto end = std::chrono::steady_clock::now() + kNewsTime;
    while (!notice() && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  if (const auto news = notice()) return error_from(*news);
  bootstrap::FailureNotice mine;
  mine.code = found->code();
  mine.origin = config_.rank;
  mine.culprit = found->peer();
  mine.text = found->what();
  if (const engine::Operation* current = engine_->current()) {
    mine.sequence = current->sequence();
    mine.call = call_bytes(current->call());
  }
  bootstrap_->announce_failure(mine);
  return *found;
}

Error CommunicatorCore::error_from(const bootstrap::FailureNotice& news) const {
  const std::string me = "rank " + std::to_string(config_.rank);
  std::string text = news.text;
  ErrorCode code = news.code;
  const engine::Operation* current = engine_->current();
  Error::Where where{config_.rank, news.culprit};
  if (current != nullptr) {
    where.operation = current->call().text();
    where.sequence = current->sequence();
  }
  if (news.origin != config_.rank && news.origin != Error::kNoRank) {
    // The rank that gave up may have waited for us because we called something else.
    const auto theirs = call_from(news.call);
    const engine::PastCall* mine = engine_->call_at(news.sequence);
    if (code == ErrorCode::timeout && theirs && mine != nullptr && mine->call != *theirs) {
      code = ErrorCode::mismatch;
      text += "; rank " + std::to_string(news.origin) + " called " + theirs->text() + " as call #" +
              std::to_string(news.sequence) + " where " + me + " called " + mine->call.text();
    } else if (current != nullptr) {
      text += " (" + me + " was in " + where.operation + " as call #" +
              std::to_string(where.sequence) + ")";
    }
  }
  return {code, text, where};
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

}  // namespace paceline
