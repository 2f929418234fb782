#include "bootstrap/rendezvous.h"

#include <algorithm>
#include <utility>

#include "bootstrap/graph.h"
#include "bootstrap/text.h"

namespace paceline::bootstrap {

namespace {

/// Rank 0 gives up this much before the others would, so that they hear from it who is missing.
constexpr Nanoseconds kEarly = kSecond / 2;
/// How often those who wait are told for whom.
constexpr Nanoseconds kBulletin = kSecond / 4;
/// After ranks were found to disagree, the ones still to come have this long to hear it as well.
constexpr Nanoseconds kGrace = 2 * kSecond;
/// How many missing ranks a text names.
constexpr int kNamed = 16;

}  // namespace

std::string Rendezvous::Arrival::who() const {
  return "pid " + std::to_string(record.pid) + " on host " + record.host +
         (from.empty() ? "" : " (" + from.text() + ")");
}

Rendezvous::Rendezvous(ServiceClient& service, MemberRecord own, int size, Nanoseconds timeout,
                       Nanoseconds deadline, Events events)
    : service_(service),
      size_(size),
      timeout_(timeout),
      events_(std::move(events)),
      arrivals_(static_cast<std::size_t>(size)) {
  arrivals_[0] = Arrival{std::move(own), {}, nullptr};
  const Nanoseconds early = std::min(kEarly, timeout / 10);
  const Nanoseconds left = std::max<Nanoseconds>(deadline - early - steady_now(), 0);
  deadline_ = service_.after(std::chrono::nanoseconds(left), [this] { on_time_out(); });
  bulletin_ =
      service_.every(std::chrono::nanoseconds(kBulletin), [this] { tell_who_is_missing(); });
}

Rendezvous::~Rendezvous() {
  for (const auto timer : {deadline_, bulletin_, grace_}) service_.cancel(timer);
}

void Rendezvous::arrived(const Hello& hello, UniqueFd fd, const SocketAddress& from) {
  WireReader in(hello.body);
  std::optional<MemberRecord> record = MemberRecord::decode(in);
  if (over_ || !record || !in.finished()) return;  // of our version, so it cannot be malformed
  record->rank = hello.from;
  Arrival arrival{*std::move(record), from, nullptr};
  Channel::Events events;
  const auto self = std::make_shared<const Channel*>(nullptr);
  events.closed = [this, self](const std::string& why) { lost(*self, why); };
  arrival.channel = Channel::open(service_, std::move(fd), kMaxStrangerPayload, std::move(events));
  *self = arrival.channel.get();
  ++come_;
  check(hello, arrival);
  if (hello.from < arrivals_.size() && !arrivals_[hello.from]) {
    arrivals_[hello.from] = std::move(arrival);
  } else {
    others_.push_back(std::move(arrival));
  }
  if (come_ < size_ - 1) {
    if (problem_ && grace_ == ServiceClient::kNoTimer) {
      grace_ = service_.after(std::chrono::nanoseconds(std::min(kGrace, timeout_ / 4)),
                              [this] { fail(); });
    }
    return;
  }
  if (problem_) return fail();
  complete();
}

void Rendezvous::check(const Hello& hello, const Arrival& arrival) {
  const std::string number = std::to_string(hello.from);
  const std::string ours = std::to_string(size_);
  const Arrival& root = *arrivals_[0];
  if (hello.size != static_cast<std::uint32_t>(size_)) {
    return object(static_cast<int>(hello.from),
                  "the ranks do not agree on how many they are: rank 0, " + root.who() + ", says " +
                      ours + ", rank " + number + ", " + arrival.who() + ", says " +
                      std::to_string(hello.size) + "; give all the same size (PACELINE_SIZE)");
  }
  if (hello.from >= static_cast<std::uint32_t>(size_)) {
    return object(Error::kNoRank, arrival.who() + " says it is rank " + number +
                                      ", but there are " + ours + " ranks, 0 to " +
                                      std::to_string(size_ - 1) +
                                      " (PACELINE_RANK, PACELINE_SIZE)");
  }
  if (const auto& first = arrivals_[hello.from]) {
    object(static_cast<int>(hello.from), "two processes say they are rank " + number + ": " +
                                             first->who() + ", and " + arrival.who() +
                                             "; give every process its own number (PACELINE_RANK)");
  }
}

void Rendezvous::object(int culprit, std::string text) {
  if (!problem_) problem_ = {ErrorCode::invalid_configuration, culprit, std::move(text)};
}

void Rendezvous::complete() {
  over_ = true;
  service_.cancel(std::exchange(deadline_, ServiceClient::kNoTimer));
  service_.cancel(std::exchange(bulletin_, ServiceClient::kNoTimer));
  std::vector<MemberRecord> records;
  for (const auto& arrival : arrivals_) records.push_back(arrival->record);
  for (int rank = 1; rank < size_; ++rank) {
    Table table;
    for (const int neighbour : neighbours(rank, size_)) {
      table.neighbours.push_back(records[static_cast<std::size_t>(neighbour)]);
    }
    const auto& channel = arrivals_[static_cast<std::size_t>(rank)]->channel;
    channel->send(FrameType::table, table.encode());
    channel->finish();
  }
  events_.complete(records);
}

void Rendezvous::fail() {
  if (over_) return;
  over_ = true;
  const Bytes payload = problem_->encode();
  for (const auto& arrival : arrivals_) {
    if (arrival && arrival->channel) arrival->channel->send(FrameType::failed, payload);
  }
  for (const Arrival& arrival : others_) arrival.channel->send(FrameType::failed, payload);
  events_.failed(*problem_);
}

void Rendezvous::on_time_out() {
  if (!problem_) {
    const auto first = std::find(arrivals_.begin(), arrivals_.end(), std::nullopt);
    const std::string hints = events_.hints();
    problem_ = {ErrorCode::timeout, static_cast<int>(first - arrivals_.begin()),
                missing() + " did not arrive within " +
                    seconds(std::chrono::nanoseconds(timeout_)) +
                    (hints.empty() ? "" : "; " + hints) +
                    "; is every rank started? (the limit is PACELINE_TIMEOUT)"};
  }
  fail();
}

void Rendezvous::lost(const Channel* channel, const std::string& why) {
  if (over_) return;
  for (const auto& arrival : arrivals_) {
    if (!arrival || arrival->channel.get() != channel || channel == nullptr) continue;
    if (!problem_) {
      problem_ = {ErrorCode::peer_failed, static_cast<int>(arrival->record.rank),
                  arrival->record.who() + " died while the ranks were meeting: " + why};
    }
    return fail();
  }
}

std::string Rendezvous::missing() const {
  std::string list;
  int count = 0;
  for (std::size_t i = 0; i < arrivals_.size(); ++i) {
    if (arrivals_[i]) continue;
    if (++count <= kNamed) list += (list.empty() ? "" : ", ") + std::to_string(i);
  }
  if (count > kNamed) list += " and " + std::to_string(count - kNamed) + " more";
  return (count == 1 ? "rank " : "ranks ") + list + " of " + std::to_string(size_);
}

void Rendezvous::tell_who_is_missing() {
  const Bytes payload = WireWriter().text(missing()).take();
  for (const auto& arrival : arrivals_) {
    if (arrival && arrival->channel) arrival->channel->send(FrameType::waiting, payload);
  }
}

}  // namespace paceline::bootstrap
