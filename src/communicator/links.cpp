#include "communicator/links.h"

#include <algorithm>
#include <map>
#include <utility>

#include "communicator/wires.h"

namespace paceline {

using transport::Reachable;
using transport::Role;
using transport::SocketNeed;
using transport::Transport;

namespace {

// "ranks 1-3, 7".
std::string rank_list(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < ranks.size();) {
    std::size_t last = i;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    text += (i == 0 ? "" : ", ") + std::to_string(ranks[i]);
    if (last > i) text += "-" + std::to_string(ranks[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace

Links::Links(const Config& config, const std::string& host_id, const Logger& log)
    : rank_(config.rank), log_(log) {
  for (std::uint8_t number = 0; number < kWireCount; ++number) {
    MadeTransport made = make_transport(static_cast<WireNumber>(number), config, host_id, log);
    if (made.transport == nullptr) {
      why_not_[number] = made.why_not;
      continue;
    }
    transports_.push_back({number, std::move(made.transport)});
  }
}

Links::~Links() {
  // Endpoints and connectors go before their transports.
  making_.clear();
  holding_.clear();
  endpoints_.clear();
}

void Links::describe(RankCard& card) const {
  for (std::uint8_t number = 0; number < kWireCount; ++number) {
    card.wires[number].why_not = why_not_[number];
  }
  for (const Slot& slot : transports_) {
    card.wires[slot.number].offered = true;
    card.wires[slot.number].description = slot.transport->describe();
  }
}

std::size_t Links::index_of(std::uint8_t number) const {
  for (std::size_t i = 0; i < transports_.size(); ++i) {
    if (transports_[i].number == number) return i;
  }
  return transports_.size();
}

// The first wire, in the order of preference, that both ends offer and that reaches. Both ends
// decide from the same two cards.
Links::Choice Links::choose_for(const Roster& roster, int peer) const {
  std::string reasons;
  const auto because = [&](std::uint8_t number, const std::string& why) {
    if (!reasons.empty()) reasons += "; ";
    reasons += std::string(kWireNames[number]) + ": " + why;
  };
  for (std::uint8_t number = 0; number < kWireCount; ++number) {
    const WireCard& theirs = roster[peer].wires[number];
    const std::size_t index = index_of(number);
    if (index == transports_.size()) {
      because(number, why_not_[number]);
    } else if (!theirs.offered) {
      because(number, "rank " + std::to_string(peer) + " says: " + theirs.why_not);
    } else {
      const Reachable r = transports_[index].transport->reachable(theirs.description);
      if (r.yes) return {index, reasons};
      because(number, r.why_not);
    }
  }
  throw Error(ErrorCode::unsupported,
              "no wire leads from rank " + std::to_string(rank_) + " to " + roster.name(peer) +
                  " (" + reasons + "); allow another one in PACELINE_TRANSPORT, for example tcp",
              {rank_, peer});
}

void Links::choose(const Roster& roster, bootstrap::Bootstrap& bootstrap) {
  roster_ = &roster;
  bootstrap_ = &bootstrap;
  const auto size = static_cast<std::size_t>(roster.size());
  choices_.resize(size);
  endpoints_.resize(size);
  requested_.assign(size, false);
  all_mapped_ = true;
  for (int peer = 0; peer < roster.size(); ++peer) {
    if (peer == rank_) continue;
    choices_[static_cast<std::size_t>(peer)] = choose_for(roster, peer);
    const std::size_t t = choices_[static_cast<std::size_t>(peer)].transport;
    all_mapped_ &= transports_[t].number == static_cast<std::uint8_t>(WireNumber::shm);
  }
  // What this rank sees of its own links says nothing about two others': shared memory everywhere
  // means one host for all, and the same wires allowed on all.
  all_mapped_ &= roster.hosts() == 1;
  if (log_.on(LogLevel::info, LogComponent::communicator)) tell_wires();
}

// One line per wire and reason, not per peer: a job has thousands of these.
void Links::tell_wires() const {
  std::map<std::pair<std::size_t, std::string>, std::vector<int>> groups;
  for (int peer = 0; peer < roster_->size(); ++peer) {
    if (peer == rank_) continue;
    const Choice& choice = choices_[static_cast<std::size_t>(peer)];
    groups[{choice.transport, choice.reason}].push_back(peer);
  }
  for (const auto& [wire, peers] : groups) {
    const std::string_view name = transports_[wire.first].transport->name();
    log_.info(LogComponent::communicator,
              std::string(name) + " leads to " + rank_list(peers) +
                  (wire.second.empty() ? "" : " (nothing faster does: " + wire.second + ")"));
  }
}

LogComponent Links::component(std::size_t index) const {
  switch (static_cast<WireNumber>(transports_[index].number)) {
    case WireNumber::shm:
      return LogComponent::shm;
    case WireNumber::verbs:
      return LogComponent::verbs;
    case WireNumber::tcp:
      return LogComponent::tcp;
  }
  return LogComponent::communicator;
}

std::vector<Transport*> Links::transports() const {
  std::vector<Transport*> all;
  for (const Slot& slot : transports_) all.push_back(slot.transport.get());
  return all;
}

std::vector<Wire> Links::wires() const {
  std::vector<Wire> wires;
  for (int peer = 0; peer < roster_->size(); ++peer) {
    wires.push_back({peer, wire(peer), choices_[static_cast<std::size_t>(peer)].reason});
  }
  return wires;
}

std::string Links::wire(int peer) const {
  if (peer == rank_) return "self";
  const std::size_t index = choices_[static_cast<std::size_t>(peer)].transport;
  return std::string(transports_[index].transport->name());
}

transport::Footprint Links::footprint(int& links) const {
  transport::Footprint sum;
  links = 0;
  for (const auto& endpoint : endpoints_) {
    if (endpoint == nullptr) continue;
    const transport::Footprint one = endpoint->footprint();
    sum.bytes += one.bytes;
    sum.descriptors += one.descriptors;
    ++links;
  }
  return sum;
}

// --- making links --------------------------------------------------------------------------------

transport::Endpoint* Links::endpoint(int peer) {
  const auto p = static_cast<std::size_t>(peer);
  if (endpoints_[p] != nullptr) return endpoints_[p].get();
  if (!requested_[p]) {
    requested_[p] = true;
    const Slot& slot = transports_[choices_[p].transport];
    const SocketNeed need = slot.transport->sockets();
    bootstrap_->request_link(
        {peer, slot.number, need.family == SocketNeed::Family::local, need.count});
  }
  return nullptr;
}

std::size_t Links::transport_of(int peer) {
  return choices_[static_cast<std::size_t>(peer)].transport;
}

std::string Links::name(int peer) {
  return roster_->name(peer);
}

void Links::take_links() {
  for (bootstrap::Link& link : bootstrap_->take_links()) {
    const auto p = static_cast<std::size_t>(link.peer);
    const std::size_t index = index_of(link.transport);
    if (index == transports_.size() || index != choices_[p].transport) {
      throw Error(ErrorCode::internal,
                  roster_->name(link.peer) + " asked for a link by transport number " +
                      std::to_string(link.transport) + ", but this rank chose " +
                      std::string(transports_[choices_[p].transport].transport->name()),
                  {rank_, link.peer});
    }
    requested_[p] = true;
    Transport* transport = transports_[index].transport.get();
    if (transport->needs_progress() &&
        std::find(moving_.begin(), moving_.end(), transport) == moving_.end()) {
      moving_.push_back(transport);
    }
    const Role role = link.dialer ? Role::dialer : Role::listener;
    making_.push_back({link.peer, transport->connect(link.peer, role, std::move(link.sockets))});
  }
}

void Links::poll_connectors() {
  for (auto it = making_.begin(); it != making_.end();) {
    auto endpoint = it->connector->poll();
    if (endpoint == nullptr) {
      ++it;
      continue;
    }
    const std::size_t index = choices_[static_cast<std::size_t>(it->peer)].transport;
    if (!transports_[index].transport->always_flushed()) holding_.push_back(endpoint.get());
    endpoints_[static_cast<std::size_t>(it->peer)] = std::move(endpoint);
    log_.debug(component(transport_of(it->peer)),
               [&] { return "the link with " + roster_->name(it->peer) + " is up"; });
    it = making_.erase(it);
  }
}

void Links::progress() {
  for (Transport* t : moving_) t->progress();
  if (news_.load(std::memory_order_relaxed) && news_.exchange(false, std::memory_order_acquire)) {
    take_links();
  }
  if (!making_.empty()) poll_connectors();
}

bool Links::flushed() noexcept {
  for (transport::Endpoint* endpoint : holding_) {
    try {
      if (!endpoint->flushed()) return false;
    } catch (const Error&) {
      // It is gone, and takes no more.
    }
  }
  return true;
}

bool Links::prepare_sleep(std::vector<pollfd>& descriptors) {
  if (!making_.empty() || news_.load(std::memory_order_acquire)) return false;
  bool may = true;
  for (const Slot& slot : transports_) may &= slot.transport->prepare_sleep(descriptors);
  return may;
}

void Links::close() noexcept {
  making_.clear();
  for (const auto& e : endpoints_) {
    if (e != nullptr) e->close();
  }
}

}  // namespace paceline
