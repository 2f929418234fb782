#include "bootstrap/inquiry.h"

#include <algorithm>
#include <utility>

namespace paceline::bootstrap {

namespace {

/// Testimonies per answer frame are cut so that a frame stays below what a channel takes.
constexpr std::size_t kMaxAnswer = kMaxPayload - 16;
/// How long a wave of somebody else's is waited for at least: timers have a resolution of 1 ms.
constexpr std::chrono::nanoseconds kShortest = std::chrono::milliseconds(5);

}  // namespace

Inquiries::Inquiries(ServiceClient& service, int rank, int size, Events events)
    : service_(service), rank_(rank), size_(size), events_(std::move(events)) {}

void Inquiries::begin(Topic topic, Bytes question, std::chrono::nanoseconds limit, Done done) {
  if (topic == Topic::hang && somebody_lower_asks(topic)) return done(std::nullopt);
  Wave wave;
  wave.topic = topic;
  wave.done = std::move(done);
  const auto self = static_cast<std::uint32_t>(rank_);
  spread({self, ++latest_[self]}, topic, question, limit, std::move(wave));
}

void Inquiries::spread(const Id& id, Topic topic, ConstBytes question,
                       std::chrono::nanoseconds limit, Wave wave) {
  Bytes testimony = events_.testify(static_cast<int>(id.first), topic, question);
  if (testimony.size() > kMaxTestimony) testimony.resize(kMaxTestimony);
  wave.testimonies[rank_] = std::move(testimony);
  const auto share = limit * 9 / 10;
  const Bytes payload = Inquiry{id.first, id.second, topic,
                                static_cast<std::uint32_t>(share / std::chrono::milliseconds(1)),
                                Bytes(question.begin(), question.end())}
                            .encode();
  for (const int peer : events_.neighbours()) {
    if (peer == wave.parent) continue;
    wave.expected.insert(peer);
    events_.send(peer, FrameType::inquiry, payload);
  }
  wave.timer = service_.after(std::max(limit, kShortest), [this, id] { finish(id); });
  waves_[id] = std::move(wave);
  settle(id);
}

bool Inquiries::on_question(int peer, ConstBytes payload) {
  const std::optional<Inquiry> inquiry = Inquiry::decode(payload);
  if (!inquiry || inquiry->asker >= static_cast<std::uint32_t>(size_)) return false;
  const Id id{inquiry->asker, inquiry->number};
  if (const auto wave = waves_.find(id); wave != waves_.end()) {
    wave->second.expected.erase(peer);  // it answers elsewhere
    settle(id);
    return true;
  }
  std::uint32_t& latest = latest_[inquiry->asker];
  if (inquiry->number <= latest) return true;  // one that is over
  latest = inquiry->number;
  give_way(id, inquiry->topic);
  Wave wave;
  wave.topic = inquiry->topic;
  wave.parent = peer;
  spread(id, inquiry->topic, inquiry->question, std::chrono::milliseconds(inquiry->limit_ms),
         std::move(wave));
  return true;
}

// Several ranks that wait for the same thing find out at the same time. A lower one's question
// reaches us before our own is answered everywhere, since it runs along the same links.
void Inquiries::give_way(const Id& to, Topic topic) {
  if (topic != Topic::hang || to.first >= static_cast<std::uint32_t>(rank_)) return;
  for (auto& [id, wave] : waves_) {
    if (!wave.done || wave.topic != topic) continue;
    // The wave itself goes on, as others count on its messages; it only has no result any more.
    std::exchange(wave.done, {})(std::nullopt);
  }
}

bool Inquiries::somebody_lower_asks(Topic topic) const {
  return std::any_of(waves_.begin(), waves_.end(), [&](const auto& entry) {
    return entry.second.topic == topic && entry.first.first < static_cast<std::uint32_t>(rank_);
  });
}

bool Inquiries::on_answer(int peer, ConstBytes payload) {
  const std::optional<Answer> answer = Answer::decode(payload);
  if (!answer) return false;
  const Id id{answer->asker, answer->number};
  const auto wave = waves_.find(id);
  if (wave == waves_.end()) return true;  // too late
  for (const auto& [rank, testimony] : answer->testimonies) {
    if (rank >= static_cast<std::uint32_t>(size_)) return false;
    wave->second.testimonies.try_emplace(static_cast<int>(rank), testimony);
  }
  if (answer->last) wave->second.expected.erase(peer);
  settle(id);
  return true;
}

void Inquiries::on_lost(int peer) {
  std::vector<Id> ids;
  for (auto& [id, wave] : waves_) {
    if (wave.expected.erase(peer) > 0) ids.push_back(id);
  }
  for (const Id& id : ids) settle(id);
}

void Inquiries::settle(const Id& id) {
  const auto wave = waves_.find(id);
  if (wave != waves_.end() && wave->second.expected.empty()) finish(id);
}

void Inquiries::finish(const Id& id) {
  const auto found = waves_.find(id);
  if (found == waves_.end()) return;
  Wave wave = std::move(found->second);
  waves_.erase(found);
  service_.cancel(wave.timer);
  if (wave.parent == Error::kNoRank) {
    if (wave.done) wave.done(std::move(wave.testimonies));
    return;
  }
  Answer answer{id.first, id.second, false, {}};
  std::size_t bytes = 0;
  for (auto& [rank, testimony] : wave.testimonies) {
    const std::size_t more = testimony.size() + 8;
    if (bytes + more > kMaxAnswer) {
      events_.send(wave.parent, FrameType::answer, answer.encode());
      answer.testimonies.clear();
      bytes = 0;
    }
    bytes += more;
    answer.testimonies.emplace_back(static_cast<std::uint32_t>(rank), std::move(testimony));
  }
  answer.last = true;
  events_.send(wave.parent, FrameType::answer, answer.encode());
}

void Inquiries::close() {
  for (auto& [id, wave] : std::exchange(waves_, {})) service_.cancel(wave.timer);
}

}  // namespace paceline::bootstrap
