#include "bootstrap/links.h"

namespace paceline::bootstrap {

namespace {

/// How long the lower rank waits for the dial before it knocks: ranks that enter a call together
/// are closer than this, and a rank that is late is not made much later by it.
constexpr std::chrono::milliseconds kKnockAfter{20};

}  // namespace

Links::Links(ServiceClient& service, int rank, std::chrono::milliseconds timeout, Events events)
    : service_(service),
      rank_(rank),
      timeout_(std::chrono::nanoseconds(timeout).count()),
      events_(std::move(events)) {}

void Links::request(const LinkRequest& request) {
  if (!known_.insert({request.peer, request.transport}).second) return;
  if (request.peer >= rank_) {
    // The peer dials, and arrived() brings it.
    service_.after(kKnockAfter, [this, request] { knock(request); });
    return;
  }
  const std::uint64_t id = ++last_id_;
  Partial& partial = dialed_[id];
  partial.link = {request.peer, request.transport, true, {}};
  partial.missing = static_cast<std::size_t>(request.count);
  partial.link.sockets.resize(partial.missing);
  for (int i = 0; i < request.count; ++i) dial(id, request, i);
}

void Links::dial(std::uint64_t id, const LinkRequest& request, int index) {
  LinkHello line;
  line.id = id;
  line.transport = request.transport;
  line.index = static_cast<std::uint16_t>(index);
  line.count = static_cast<std::uint16_t>(request.count);
  DialPlan plan = events_.plan(request);
  plan.deadline = steady_now() + timeout_;
  plan.hello = [this, peer = request.peer, body = line.encode()](int) {
    return events_.hello(peer, body);
  };
  auto connected = [this, id, index](UniqueFd fd, const Bytes&) {
    const auto found = dialed_.find(id);
    if (found == dialed_.end()) return;
    Partial& partial = found->second;
    partial.link.sockets[static_cast<std::size_t>(index)] = std::move(fd);
    if (--partial.missing > 0) return;
    Partial complete = std::move(partial);  // it keeps the Dial whose callback this is
    dialed_.erase(found);
    events_.ready(std::move(complete.link));
  };
  auto failed = [this, id, request](const DialFailure& failure) {
    const auto found = dialed_.find(id);
    if (found == dialed_.end()) return;
    const Partial keep = std::move(found->second);
    dialed_.erase(found);
    events_.failed(request, failure);
  };
  dialed_[id].dials.push_back(
      Dial::start(service_, std::move(plan), std::move(connected), std::move(failed)));
}

// A knock that fails is no news: if the peer is dead the control tree says so, and if the link does
// not come the operation's deadline does.
void Links::knock(const LinkRequest& request) {
  if (closed_ || come_.contains({request.peer, request.transport})) return;
  const std::uint64_t id = ++last_id_;
  LinkHello line;
  line.id = id;
  line.transport = request.transport;
  line.count = static_cast<std::uint16_t>(request.count);
  line.knock = true;
  line.local = request.local;
  DialPlan plan = events_.plan(request);
  plan.deadline = steady_now() + timeout_;
  plan.hello = [this, peer = request.peer, body = line.encode()](int) {
    return events_.hello(peer, body);
  };
  const auto drop = [this, id] {
    const auto found = knocks_.find(id);
    if (found == knocks_.end()) return;
    const std::shared_ptr<Dial> keep = std::move(found->second);  // its callback is under way
    knocks_.erase(found);
  };
  knocks_[id] = Dial::start(
      service_, std::move(plan), [drop](const UniqueFd&, const Bytes&) { drop(); },
      [drop](const DialFailure&) { drop(); });
}

void Links::arrived(int peer, const LinkHello& hello, UniqueFd fd) {
  drop_stale();
  if (hello.count > kMaxSockets) return;
  if (hello.knock) {
    if (peer < rank_) request({peer, hello.transport, hello.local, hello.count});
    return;
  }
  const auto [place, fresh] = accepted_.try_emplace({peer, hello.id});
  Partial& partial = place->second;
  if (fresh) {
    partial.link = {peer, hello.transport, false, {}};
    partial.missing = hello.count;
    partial.since = steady_now();
    partial.link.sockets.resize(hello.count);
  }
  // A second one for the same place: the peer gave the first one up.
  if (hello.index >= partial.link.sockets.size()) return;
  UniqueFd& socket = partial.link.sockets[hello.index];
  if (!socket) --partial.missing;
  socket = std::move(fd);
  if (partial.missing > 0) return;
  Link link = std::move(partial.link);
  accepted_.erase(place);
  known_.insert({peer, link.transport});
  come_.insert({peer, link.transport});
  events_.ready(std::move(link));
}

// The peer fails the communicator when it cannot complete a link; what is left of one here after
// twice its time is litter.
void Links::drop_stale() {
  const Nanoseconds now = steady_now();
  std::erase_if(accepted_,
                [&](const auto& entry) { return now - entry.second.since > 2 * timeout_; });
}

void Links::close() {
  dialed_.clear();
  accepted_.clear();
  knocks_.clear();
  closed_ = true;
}

}  // namespace paceline::bootstrap
