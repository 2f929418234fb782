#include "bootstrap/agreement.h"

#include <algorithm>
#include <utility>

namespace paceline::bootstrap {

namespace {

/// Between two rounds of asking those that have not begun yet: short at first, since programs see a
/// failure within milliseconds of each other.
constexpr Nanoseconds kFirstPause = 5 * kMillisecond;
constexpr Nanoseconds kLongestPause = kSecond / 4;
/// How long one round may take; who has not answered then is asked again.
constexpr Nanoseconds kRoundTime = kSecond;
/// What a rank that does not lead waits longer than the leader does.
constexpr Nanoseconds kGrace = 5 * kSecond;

enum class Stand : std::uint8_t { out = 0, in = 1, decided = 2, stale = 3 };

}  // namespace

struct Agreement::Reply {
  Stand stand = Stand::out;
  Decision decision = {};

  [[nodiscard]] Bytes encode() const {
    WireWriter out;
    out.u8(static_cast<std::uint8_t>(stand));
    if (stand == Stand::decided) decision.encode(out);
    return out.take();
  }
  static std::optional<Reply> decode(ConstBytes bytes) {
    WireReader in(bytes);
    Reply reply;
    const std::uint8_t stand = in.u8();
    if (!in.ok() || stand > static_cast<std::uint8_t>(Stand::stale)) return std::nullopt;
    reply.stand = static_cast<Stand>(stand);
    if (reply.stand == Stand::decided) {
      std::optional<Decision> decision = Decision::decode(in);
      if (!decision) return std::nullopt;
      reply.decision = *std::move(decision);
    }
    return in.finished() ? std::optional(std::move(reply)) : std::nullopt;
  }
};

Agreement::Agreement(ServiceClient& service, int rank, int size, Events events)
    : service_(service), rank_(rank), size_(size), events_(std::move(events)) {}

int Agreement::leader() const {
  int rank = 0;
  while (rank < size_ && events_.gone(rank)) ++rank;
  return rank;
}

void Agreement::begin(std::chrono::nanoseconds limit) {
  ++epoch_;
  active_ = true;
  leading_ = false;
  deadline_ = steady_now() + limit.count();
  if (declared_dead_) return on_declared_dead();
  if (decided_.contains(epoch_)) return conclude();
  timer_ = service_.after(limit + std::chrono::nanoseconds(kGrace), [this] {
    timer_ = ServiceClient::kNoTimer;
    exclude(leader(), "no decision on who survives came from rank " + std::to_string(leader()) +
                          ", the lowest that is left");
  });
  on_gone();
}

void Agreement::on_gone() {
  if (active_ && !leading_ && leader() == rank_) lead();
}

void Agreement::on_declared_dead() {
  declared_dead_ = true;
  if (!active_) return;
  exclude(rank_,
          "the other ranks take this one for dead, because it was silent for too long (stopped, "
          "overloaded or cut off)");
}

// --- leading

void Agreement::lead() {
  leading_ = true;
  pause_ = kFirstPause;
  ask();
}

void Agreement::ask() {
  const std::uint32_t epoch = epoch_;
  events_.inquire(Topic::survivors, WireWriter().u32(epoch).take(),
                  std::chrono::nanoseconds(kRoundTime),
                  [this, epoch](const std::optional<Testimonies>& testimonies) {
                    if (active_ && leading_ && epoch == epoch_ && testimonies) {
                      on_replies(*testimonies);
                    }
                  });
}

void Agreement::on_replies(const Testimonies& testimonies) {
  Decision mine{epoch_, static_cast<std::uint32_t>(rank_), {}};
  bool complete = true;
  for (int rank = 0; rank < size_; ++rank) {
    const auto found = testimonies.find(rank);
    const std::optional<Reply> reply =
        found == testimonies.end() ? std::nullopt : Reply::decode(found->second);
    if (!reply) {
      complete = complete && events_.gone(rank);
      continue;
    }
    switch (reply->stand) {
      case Stand::decided: {
        Decision theirs = reply->decision;
        theirs.leader = mine.leader;  // confirmed: who has promised us takes it
        return take(theirs, Error::kNoRank);
      }
      case Stand::stale:
        return on_declared_dead();
      case Stand::in:
        mine.ranks.push_back(static_cast<std::uint32_t>(rank));
        break;
      case Stand::out:
        complete = false;
        break;
    }
  }
  if (complete || steady_now() >= deadline_) return take(mine, Error::kNoRank);
  service_.after(std::chrono::nanoseconds(pause_), [this, epoch = epoch_] {
    if (active_ && leading_ && epoch == epoch_) ask();
  });
  pause_ = std::min(2 * pause_, kLongestPause);
}

// --- following

Bytes Agreement::testify(int leader, ConstBytes question) {
  WireReader in(question);
  const std::uint32_t epoch = in.u32();
  Reply reply;
  std::uint32_t& promised = promised_[epoch];
  if (static_cast<std::uint32_t>(leader) < promised) {
    reply.stand = Stand::stale;
    return reply.encode();
  }
  promised = static_cast<std::uint32_t>(leader);
  if (const auto decided = decided_.find(epoch); decided != decided_.end()) {
    reply.stand = Stand::decided;
    reply.decision = decided->second;
  } else if (epoch == epoch_ && active_) {
    reply.stand = Stand::in;
  }
  return reply.encode();
}

bool Agreement::on_decision(int peer, ConstBytes payload) {
  const std::optional<Decision> decision = Decision::decode(payload);
  if (!decision || !std::is_sorted(decision->ranks.begin(), decision->ranks.end())) return false;
  if (decision->ranks.empty() || decision->ranks.back() >= static_cast<std::uint32_t>(size_)) {
    return false;
  }
  if (decision->leader >= promised_[decision->epoch]) take(*decision, peer);
  return true;
}

void Agreement::take(const Decision& decision, int from) {
  if (!decided_.try_emplace(decision.epoch, decision).second) return;
  events_.flood(FrameType::decision, decision.encode(), from);
  if (active_ && decision.epoch == epoch_) conclude();
}

void Agreement::conclude() {
  const Decision& decision = decided_.at(epoch_);
  std::vector<int> ranks(decision.ranks.begin(), decision.ranks.end());
  if (!std::binary_search(ranks.begin(), ranks.end(), rank_)) {
    return exclude(static_cast<int>(decision.leader),
                   "the other ranks have agreed to go on without this one, which did not take part "
                   "in time");
  }
  active_ = false;
  service_.cancel(std::exchange(timer_, ServiceClient::kNoTimer));
  events_.agreed(std::move(ranks));
}

void Agreement::exclude(int culprit, const std::string& why) {
  if (!std::exchange(active_, false)) return;
  service_.cancel(std::exchange(timer_, ServiceClient::kNoTimer));
  events_.excluded(culprit, why);
}

void Agreement::close() {
  active_ = false;
  service_.cancel(std::exchange(timer_, ServiceClient::kNoTimer));
}

}  // namespace paceline::bootstrap
