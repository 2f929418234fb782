#include "bootstrap/control.h"

#include <algorithm>
#include <utility>

#include "bootstrap/group_messages.h"
#include "bootstrap/text.h"

namespace paceline::bootstrap {

namespace {

/// Four chances within the time-out, so that one late packet is no death; but at least one beat
/// in a second, which costs nothing.
Nanoseconds beat(Nanoseconds timeout) {
  return std::clamp<Nanoseconds>(timeout / 4, kMillisecond, kSecond);
}

}  // namespace

Control::Control(ServiceClient& service, int rank, std::chrono::milliseconds heartbeat_timeout,
                 Events events)
    : service_(service),
      rank_(rank),
      timeout_(std::chrono::nanoseconds(heartbeat_timeout).count()),
      interval_(beat(timeout_)),
      events_(std::move(events)) {}

void Control::add(int peer, UniqueFd fd, bool certain) {
  if (leaving_) return;
  const auto entry = std::make_shared<Peer>();
  entry->rank = peer;
  entry->heard = steady_now();
  entry->certain = certain;
  const std::weak_ptr<Peer> weak = entry;
  Channel::Events events;
  events.frame = [this, weak](FrameType type, ConstBytes payload) {
    if (const auto p = weak.lock()) on_frame(p, type, payload);
  };
  events.closed = [this, weak](const std::string& why) {
    if (const auto p = weak.lock()) on_closed(p, why);
  };
  entry->channel = Channel::open(service_, std::move(fd), kMaxPayload, std::move(events));
  peers_.push_back(entry);
  if (ticker_ == ServiceClient::kNoTimer) {
    last_tick_ = entry->heard;
    ticker_ = service_.every(std::chrono::nanoseconds(interval_), [this] { tick(); });
  }
  entry->channel->send(FrameType::heartbeat);  // makes it certain there
  // Who links up late has missed the news.
  if (failure_) entry->channel->send(FrameType::notice, encode_notice(*failure_));
  if (spreading_)
    entry->channel->send(FrameType::gone, Gone{{gone_.begin(), gone_.end()}}.encode());
  if (certain) events_.linked(peer);
}

bool Control::linked(int peer) const {
  return std::any_of(peers_.begin(), peers_.end(),
                     [&](const auto& p) { return p->rank == peer && p->certain; });
}

std::vector<int> Control::neighbours() const {
  std::set<int> ranks;
  for (const auto& peer : peers_) {
    if (peer->certain) ranks.insert(peer->rank);
  }
  return {ranks.begin(), ranks.end()};
}

void Control::send(int peer, FrameType type, ConstBytes payload) {
  const auto found =
      std::find_if(peers_.begin(), peers_.end(), [&](const auto& p) { return p->rank == peer; });
  // A peer that has gone does not miss it: its death or its goodbye decides what happens.
  if (found != peers_.end()) (*found)->channel->send(type, payload);
}

void Control::flood(FrameType type, ConstBytes payload, int except) {
  for (const int peer : neighbours()) {
    if (peer != except) send(peer, type, payload);
  }
}

void Control::fail_except(FailureNotice notice, const Peer* source) {
  if (failure_) return;
  notice.text = shortened(std::move(notice.text), kMaxNoticeText);
  failure_ = std::move(notice);
  const Bytes payload = encode_notice(*failure_);
  for (const auto& peer : peers_) {
    if (peer.get() != source) peer->channel->send(FrameType::notice, payload);
  }
  events_.failed(*failure_);
  if (failure_->code == ErrorCode::peer_failed && failure_->culprit == rank_) {
    events_.declared_dead();
  }
}

void Control::on_frame(const std::shared_ptr<Peer>& peer, FrameType type, ConstBytes payload) {
  peer->heard = steady_now();
  if (!std::exchange(peer->certain, true)) events_.linked(peer->rank);
  switch (type) {
    case FrameType::heartbeat:
      return;
    case FrameType::block:
      return events_.block(peer->rank, payload);
    case FrameType::notice:
      return on_notice(*peer, payload);
    case FrameType::goodbye:
      return on_goodbye(peer, payload);
    case FrameType::gone:
      return on_gone(*peer, payload);
    case FrameType::inquiry:
    case FrameType::answer:
    case FrameType::decision:
    case FrameType::note:
      if (events_.group(peer->rank, type, payload)) return;
      break;
    case FrameType::hello:
    case FrameType::challenge:
    case FrameType::proof:
    case FrameType::accepted:
    case FrameType::refused:
    case FrameType::waiting:
    case FrameType::failed:
    case FrameType::table:
      break;
  }
  const std::string what = "message type " + std::to_string(static_cast<int>(type));
  forget(peer);
  died(peer->rank, "sent a " + what + " over its control link, which has no meaning there");
}

// --- who is gone

void Control::spread_gone() {
  if (std::exchange(spreading_, true)) return;
  flood(FrameType::gone, Gone{{gone_.begin(), gone_.end()}}.encode(), Error::kNoRank);
}

void Control::on_gone(const Peer& peer, ConstBytes payload) {
  const std::optional<Gone> gone = Gone::decode(payload);
  const int source = peer.rank;
  if (!gone) return died(source, "sent a malformed list of who is gone");
  spread_gone();
  for (const std::uint32_t rank : gone->ranks) {
    if (static_cast<int>(rank) == rank_) {
      events_.declared_dead();
    } else {
      add_gone(static_cast<int>(rank), source);
    }
  }
}

void Control::add_gone(int rank, int except) {
  if (!gone_.insert(rank).second) return;
  if (spreading_) flood(FrameType::gone, Gone{{static_cast<std::uint32_t>(rank)}}.encode(), except);
  if (!leaving_) events_.gone(rank);
}

void Control::on_notice(const Peer& peer, ConstBytes payload) {
  std::optional<FailureNotice> notice = decode_notice(payload);
  if (!notice) return died(peer.rank, "sent a malformed notice of failure");
  fail_except(*std::move(notice), &peer);
}

void Control::on_goodbye(const std::shared_ptr<Peer>& peer, ConstBytes payload) {
  WireReader in(payload);
  const int next = static_cast<int>(in.u32());
  forget(peer);
  left_.insert(peer->rank);
  if (in.finished() && !leaving_) events_.left(peer->rank, next);
  add_gone(peer->rank, Error::kNoRank);
}

void Control::on_closed(const std::shared_ptr<Peer>& peer, const std::string& why) {
  forget(peer);
  if (peer->certain && !leaving_ && !left_.contains(peer->rank)) {
    if (!linked(peer->rank)) events_.broken(peer->rank, why);
  }
}

void Control::died(int peer, const std::string& how) {
  FailureNotice notice;
  notice.code = ErrorCode::peer_failed;
  notice.origin = rank_;
  notice.culprit = peer;
  notice.text = events_.who(peer) + " " + how;
  fail(std::move(notice));
  add_gone(peer, Error::kNoRank);
}

void Control::tick() {
  const Nanoseconds now = steady_now();
  // If this process was stopped itself, it has not listened: nobody else is to blame for that.
  const bool deaf = now - last_tick_ > interval_ + timeout_ / 2;
  last_tick_ = now;
  std::shared_ptr<Peer> silent;
  for (const auto& peer : peers_) {
    peer->channel->send(FrameType::heartbeat);
    if (deaf) peer->heard = now;
    if (now - peer->heard > timeout_ && !leaving_) silent = peer;
  }
  if (!silent) return;
  // Told before it is cut off: a rank that was stopped and comes back reads that it was the one,
  // and does not take the end of this link for our death.
  if (silent->certain) {
    died(silent->rank, "has been silent for " +
                           seconds(std::chrono::nanoseconds(now - silent->heard)) +
                           " (stopped, overloaded or cut off; PACELINE_HEARTBEAT_TIMEOUT is " +
                           seconds(std::chrono::nanoseconds(timeout_)) + ")");
  }
  forget(silent);
}

void Control::forget(const std::shared_ptr<Peer>& peer) {
  peer->channel->close();
  std::erase(peers_, peer);
  if (!leaving_ && !linked(peer->rank)) events_.lost(peer->rank);
  if (leaving_ && peers_.empty()) leaving_();
}

void Control::leave(int next, std::function<void()> done) {
  if (leaving_) return;
  leaving_ = std::move(done);
  const Bytes payload = WireWriter().u32(static_cast<std::uint32_t>(next)).take();
  for (const auto& peer : peers_) {
    peer->channel->send(FrameType::goodbye, payload);
    peer->channel->finish();
  }
  if (peers_.empty()) leaving_();
}

}  // namespace paceline::bootstrap
