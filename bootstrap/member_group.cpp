// What a Member does together with all others once they have met: inquiries, the board, and the
// agreement on who survives.
#include <algorithm>
#include <utility>

#include "bootstrap/graph.h"
#include "bootstrap/member.h"
#include "bootstrap/text.h"

namespace paceline::bootstrap {

namespace {

/// Service threads answer within milliseconds; on a machine with many ranks per core it may take
/// longer, but then a link that fails has a text that is less good, not a wrong one.
constexpr auto kDepartedTime = std::chrono::milliseconds(500);

}  // namespace

// --- the caller's threads

void Member::inquire(Topic topic, Bytes question, std::chrono::nanoseconds limit,
                     std::function<void(std::optional<Testimonies>)> done) {
  service_.post([this, topic, limit, question = std::move(question), done = std::move(done)] {
    inquiries_.begin(topic, question, limit, done);
  });
}

std::vector<int> Member::survivors(std::chrono::nanoseconds limit) {
  if (config_.size == 1) return {0};
  {
    const std::lock_guard lock(mutex_);
    survivors_.reset();
    excluded_.reset();
  }
  service_.post([this, limit] {
    control_.spread_gone();
    agreement_.begin(limit);
  });
  std::unique_lock lock(mutex_);
  news_.wait(lock, [&] { return survivors_ || excluded_ || leaving_; });
  if (survivors_) return *std::exchange(survivors_, std::nullopt);
  if (excluded_) throw Error(*excluded_);
  throw Error(ErrorCode::invalid_argument, "survivors() after leave()");
}

BootstrapUsage Member::usage() {
  if (config_.size == 1) return {};
  service_.post([this] {
    const std::lock_guard lock(mutex_);
    const int links = control_.links();
    usage_ = BootstrapUsage{links, links + acceptor_.listeners(), rounds_taken_};
    news_.notify_all();
  });
  std::unique_lock lock(mutex_);
  news_.wait(lock, [&] { return usage_ || leaving_; });
  return std::exchange(usage_, std::nullopt).value_or(BootstrapUsage());
}

// --- the service thread

Agreement::Events Member::agreement_events() {
  Agreement::Events events;
  events.gone = [this](int rank) { return control_.gone(rank); };
  events.inquire = [this](Topic topic, Bytes question, std::chrono::nanoseconds limit,
                          std::function<void(std::optional<Testimonies>)> done) {
    inquiries_.begin(topic, std::move(question), limit, std::move(done));
  };
  events.flood = [this](FrameType type, ConstBytes payload, int except) {
    control_.flood(type, payload, except);
  };
  events.agreed = [this](std::vector<int> ranks) {
    const std::lock_guard lock(mutex_);
    survivors_ = std::move(ranks);
    news_.notify_all();
  };
  events.excluded = [this](int culprit, const std::string& why) {
    const std::lock_guard lock(mutex_);
    excluded_ = Error(ErrorCode::peer_failed,
                      who(config_.rank) + " is not among the survivors: " + why +
                          "; end this process, or let it join a new communicator through a store",
                      {config_.rank, culprit});
    news_.notify_all();
  };
  return events;
}

bool Member::on_group_message(int peer, FrameType type, ConstBytes payload) {
  if (type == FrameType::inquiry) return inquiries_.on_question(peer, payload);
  if (type == FrameType::answer) return inquiries_.on_answer(peer, payload);
  if (type == FrameType::decision) return agreement_.on_decision(peer, payload);
  const std::optional<Note> note = Note::decode(payload);
  if (!note) return false;
  if (board_->note(*note)) control_.flood(FrameType::note, payload, peer);
  return true;
}

// The ring closes over the gap, so that what is flooded still reaches everybody.
void Member::on_gone(int rank) {
  ring_.left(rank, rank_after(rank, 1, config_.size));
  agreement_.on_gone();
}

// Only neighbours in the control graph hear a goodbye.
void Member::ask_whether_left(int peer, std::function<void(bool left)> done) {
  const auto answered = [peer,
                         done = std::move(done)](const std::optional<Testimonies>& testimonies) {
    if (!testimonies) return;
    done(std::any_of(testimonies->begin(), testimonies->end(),
                     [&](const auto& t) { return t.first != peer && !t.second.empty(); }));
  };
  inquiries_.begin(Topic::departed, WireWriter().u32(static_cast<std::uint32_t>(peer)).take(),
                   kDepartedTime, answered);
}

Bytes Member::testify(int asker, Topic topic, ConstBytes question) {
  if (topic == Topic::departed) {
    const std::uint32_t rank = WireReader(question).u32();
    return control_.has_left(static_cast<int>(rank)) ? Bytes(1) : Bytes();
  }
  if (topic == Topic::survivors) {
    control_.spread_gone();
    return agreement_.testify(asker, question);
  }
  return watched_ && events_.testify ? events_.testify(topic, question) : Bytes();
}

}  // namespace paceline::bootstrap
