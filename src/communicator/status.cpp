// What a communicator says to somebody who looks in from outside: see status_door.h.
#include <nlohmann/json.hpp>

#include "communicator/core.h"
#include "communicator/verdict.h"

namespace paceline {

namespace {

using Json = nlohmann::ordered_json;

/// How long ranks are given to answer somebody who looks in.
constexpr auto kLimit = std::chrono::seconds(2);
/// An operation that has not moved for so long is worth a verdict; below, it is on its way.
constexpr Nanoseconds kWorthAVerdict = kSecond;

const char* phase_text(engine::Phase phase) {
  switch (phase) {
    case engine::Phase::linking:
      return "linking";
    case engine::Phase::announcing:
      return "announcing";
    case engine::Phase::running:
      return "running";
    case engine::Phase::flushing:
      return "flushing";
    case engine::Phase::done:
      return "done";
    case engine::Phase::failed:
      return "failed";
  }
  return "unknown";
}

double in_seconds(Nanoseconds time) {
  return static_cast<double>(time / kMillisecond) / 1e3;
}

Json describe(int rank, const std::string& name, const std::optional<Testimony>& t) {
  Json json{{"rank", rank}, {"name", name}, {"answered", t.has_value()}};
  if (!t) return json;
  json["failed"] = t->failed;
  json["calls_made"] = t->entered;
  json["calls_finished"] = t->finished;
  json["inside"] = t->inside();
  const auto call = t->calls.find(t->inside() ? t->at() : t->finished - 1);
  if (call != t->calls.end()) json["call"] = call->second.text();
  if (!t->message.empty()) {
    json["message"] = t->message;
    json["message_seconds"] = in_seconds(t->message_waited);
  }
  if (!t->inside()) {
    json["quiet_seconds"] = in_seconds(t->quiet_for);
    return json;
  }
  json["sequence"] = t->at();
  json["phase"] = phase_text(t->stand.phase);
  json["stopped_seconds"] = in_seconds(t->stand.since);
  if (t->stand.since != 0 && t->stand.waiting_for >= 0) {
    json["waiting_for"] = t->stand.waiting_for;
    json["wire"] = t->wire;
    json["step"] = t->stand.step;
    json["steps"] = t->stand.steps;
  }
  return json;
}

// Who has waited longest asks, so to say.
std::optional<Hang> find_hang(const std::vector<std::optional<Testimony>>& ranks) {
  std::optional<Hang> hang;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    const auto& t = ranks[r];
    if (!t || !t->inside() || t->stand.since < kWorthAVerdict) continue;
    const auto call = t->calls.find(t->at());
    if (call == t->calls.end() || (hang && hang->waited >= t->stand.since)) continue;
    hang = Hang{static_cast<int>(r), t->at(), call->second, t->stand.since, ranks, {}};
  }
  return hang;
}

}  // namespace

// Service thread.
void CommunicatorCore::describe_status(bool all_ranks, std::function<void(std::string)> done) {
  const std::weak_ptr<CommunicatorCore> weak = weak_from_this();
  const auto answer = [weak, all_ranks,
                       done](const std::optional<bootstrap::Testimonies>& testimonies) {
    const auto self = weak.lock();
    if (self == nullptr) return done("null");
    const int size = self->config_.size;
    std::vector<std::optional<Testimony>> ranks(static_cast<std::size_t>(size));
    for (const auto& [rank, bytes] : testimonies.value_or(bootstrap::Testimonies())) {
      ranks[static_cast<std::size_t>(rank)] = Testimony::read(bytes);
    }
    Json json{{"name", self->name_},
              {"job", self->bootstrap_->job()},
              {"rank", self->config_.rank},
              {"size", size},
              {"failed", self->failed()}};
    if (const auto news = self->notice()) json["error"] = news->text;
    json["ranks"] = Json::array();
    for (int rank = 0; rank < size; ++rank) {
      if (!all_ranks && rank != self->config_.rank) continue;
      const auto& t = ranks[static_cast<std::size_t>(rank)];
      json["ranks"].push_back(describe(rank, self->roster_.name(rank), t));
    }
    if (auto hang = all_ranks ? find_hang(ranks) : std::nullopt) {
      hang->name = [&](int rank) { return self->roster_.name(rank); };
      json["verdict"] = judge(*hang).text;
    }
    // Names of hosts are whatever a host calls itself: never a reason to throw.
    done(json.dump(-1, ' ', false, Json::error_handler_t::replace));
  };
  if (all_ranks && config_.size > 1) {
    return bootstrap_->inquire(bootstrap::Topic::status, {}, kLimit, answer);
  }
  answer(bootstrap::Testimonies{{config_.rank, testify(bootstrap::Topic::status)}});
}

}  // namespace paceline
