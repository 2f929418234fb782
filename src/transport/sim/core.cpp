#include "transport_sim/core.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace paceline::transport::sim {
namespace {

/// Heap order: the earliest on top.
bool later(const Event& a, const Event& b) {
  return a.time != b.time ? a.time > b.time : a.serial > b.serial;
}

void require(bool holds, const std::string& what) {
  if (!holds) throw Error(ErrorCode::invalid_argument, "SimOptions: " + what);
}

std::byte* within(std::byte* data, std::size_t size, std::uint64_t address, std::size_t length) {
  const auto base = reinterpret_cast<std::uintptr_t>(data);
  if (address < base || address - base > size || length > size - (address - base)) return nullptr;
  return data + (address - base);
}

}  // namespace

Link::Link(Core& of, int low, int high) : core(of) {
  sides[0].rank = low;
  sides[1].rank = high;
  for (const Side& side : sides) core.of(side.rank).links.insert(this);
}

Link::~Link() {
  for (const Side& side : sides) core.of(side.rank).links.erase(this);
}

Core::Core(const SimOptions& options) : options_(options), random_state_(options.seed) {
  require(options.ranks >= 1, "ranks must be at least 1");
  require(options.latency >= 0, "latency must not be negative");
  require(options.nanoseconds_per_byte >= 0, "nanoseconds_per_byte must not be negative");
  require(options.extra_delay >= 0, "extra_delay must not be negative");
  require(options.loss >= 0 && options.loss < 1, "loss must be at least 0 and below 1");
  require(options.retransmission >= 0, "retransmission must not be negative");
  require(options.queue_depth >= 1 && options.mailbox >= 1,
          "queue_depth and mailbox must be at least 1");
  require(options.detection >= 0 || options.detection == SimOptions::kNever,
          "detection must not be negative, or kNever");
  require(options.ranks_per_host >= 1, "ranks_per_host must be at least 1");
  ranks_.resize(static_cast<std::size_t>(options.ranks));
}

// --- chance: splitmix64, the same on every machine

std::uint64_t Core::random() {
  std::uint64_t z = (random_state_ += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

Nanoseconds Core::random_between(Nanoseconds first, Nanoseconds last) {
  const auto span = static_cast<std::uint64_t>(last - first) + 1;
  return first + static_cast<Nanoseconds>(random() % span);
}

double Core::random_fraction() {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

// --- what is going to happen

void Core::post(Event event, Nanoseconds when) {
  event.time = std::max(when, now_);
  event.serial = serial_++;
  queue_.push_back(std::move(event));
  std::push_heap(queue_.begin(), queue_.end(), later);
}

Core::Times Core::transmit(Side& from, std::size_t bytes) {
  const double wire = static_cast<double>(bytes) * options_.nanoseconds_per_byte;
  const Nanoseconds departure =
      std::max(now_, from.busy_until) + static_cast<Nanoseconds>(std::llround(wire));
  from.busy_until = departure;
  Nanoseconds arrival = departure + options_.latency;
  if (options_.extra_delay > 0) arrival += random_between(0, options_.extra_delay);
  if (options_.loss > 0) {
    while (random_fraction() < options_.loss) arrival += options_.retransmission;
  }
  return {departure, arrival};
}

void Core::post_put(const std::shared_ptr<Link>& link, int side, Lane lane, ConstBytes source,
                    RemoteAddress target) {
  Side& from = link->sides[static_cast<std::size_t>(side)];
  const Times times = transmit(from, source.size());
  const Nanoseconds arrival = std::max(times.arrival, from.lane_until[lane]);
  from.lane_until[lane] = arrival;
  if (source.empty()) {
    from.in_flight_until = std::max(from.in_flight_until, arrival);
  } else {
    const std::size_t parts = parts_of_a_put();
    for (std::size_t part = 0; part < parts; ++part) {
      const std::size_t offset = source.size() * part / parts;
      const std::size_t length = source.size() * (part + 1) / parts - offset;
      ++from.unplaced;
      const Nanoseconds when =
          options_.reorder ? random_between(now_, arrival) : std::min(times.departure, arrival);
      post({.kind = Event::Kind::place,
            .side = side,
            .lane = lane,
            .link = link,
            .source = source,
            .target = target,
            .offset = offset,
            .length = length,
            .arrival = arrival},
           when);
    }
  }
  post({.kind = Event::Kind::count, .side = side, .lane = lane, .link = link}, arrival);
}

void Core::post_message(const std::shared_ptr<Link>& link, int side, Bytes message) {
  Side& from = link->sides[static_cast<std::size_t>(side)];
  const Nanoseconds arrival = std::max(transmit(from, message.size()).arrival, from.messages_until);
  from.messages_until = arrival;
  from.in_flight_until = std::max(from.in_flight_until, arrival);
  ++from.uncredited;
  post({.kind = Event::Kind::message, .side = side, .link = link, .message = std::move(message)},
       arrival);
}

void Core::post_credit(const std::shared_ptr<Link>& link, int side) {
  post({.kind = Event::Kind::credit, .side = 1 - side, .link = link}, now_ + options_.latency);
}

// --- what happens

bool Core::advance() {
  woken_.clear();
  if (queue_.empty()) return false;
  std::pop_heap(queue_.begin(), queue_.end(), later);
  Event event = std::move(queue_.back());
  queue_.pop_back();
  now_ = event.time;
  ++happened_;
  happen(event);
  return true;
}

void Core::happen(Event& event) {
  switch (event.kind) {
    case Event::Kind::place:
      return place(event);
    case Event::Kind::count:
      return count(event);
    case Event::Kind::message:
      return deliver(event);
    case Event::Kind::credit: {
      Side& sender = event.link->sides[static_cast<std::size_t>(event.side)];
      --sender.uncredited;
      woken_.push_back(sender.rank);
      return;
    }
    case Event::Kind::broken: {
      Side& side = event.link->sides[static_cast<std::size_t>(event.side)];
      const int gone = event.link->sides[static_cast<std::size_t>(1 - event.side)].rank;
      if (side.closed || side.error) return;
      side.error = std::make_unique<Error>(
          ErrorCode::peer_failed,
          "the simulated link to rank " + std::to_string(gone) + " ended: it died or left",
          Error::Where{.rank = side.rank, .peer = gone});
      woken_.push_back(side.rank);
      return;
    }
    case Event::Kind::kill:
      return kill(event.rank);
    case Event::Kind::wake:
      woken_.push_back(event.rank);
      return;
  }
}

void Core::place(const Event& event) {
  Side& from = event.link->sides[static_cast<std::size_t>(event.side)];
  const Side& to = event.link->sides[static_cast<std::size_t>(1 - event.side)];
  --from.unplaced;
  woken_.push_back(from.rank);
  if (from.closed || from.error || to.closed || to.error || dead(from.rank) || dead(to.rank)) {
    from.lane_stopped[event.lane] = true;  // the source may be gone, or the target
    return;
  }
  std::byte* target = find(to.rank, event.target, event.source.size());
  if (target == nullptr) return refuse(*event.link, event.side, event);
  std::memcpy(target + event.offset, event.source.data() + event.offset, event.length);
  from.in_flight_until = std::max(from.in_flight_until, event.arrival);
}

void Core::count(const Event& event) {
  const Side& from = event.link->sides[static_cast<std::size_t>(event.side)];
  Side& to = event.link->sides[static_cast<std::size_t>(1 - event.side)];
  if (from.lane_stopped[event.lane] || to.closed || to.error) return;
  ++to.arrived[event.lane];
  woken_.push_back(to.rank);
}

void Core::deliver(Event& event) {
  Side& to = event.link->sides[static_cast<std::size_t>(1 - event.side)];
  if (to.closed || to.error) return;
  to.mailbox.push_back(std::move(event.message));
  woken_.push_back(to.rank);
}

void Core::refuse(Link& link, int side, const Event& event) {
  Side& from = link.sides[static_cast<std::size_t>(side)];
  Side& to = link.sides[static_cast<std::size_t>(1 - side)];
  from.lane_stopped.fill(true);
  const std::string what = "a put of " + std::to_string(event.source.size()) +
                           " bytes to address " + std::to_string(event.target.address) +
                           ", where no memory is registered by that key";
  from.error = std::make_unique<Error>(ErrorCode::transport_failed,
                                       "rank " + std::to_string(to.rank) + " refused " + what,
                                       Error::Where{.rank = from.rank, .peer = to.rank});
  to.error = std::make_unique<Error>(ErrorCode::transport_failed,
                                     "rank " + std::to_string(from.rank) + " made " + what,
                                     Error::Where{.rank = to.rank, .peer = from.rank});
  woken_.push_back(to.rank);
}

// --- links, and their end

std::shared_ptr<Link> Core::join(int rank, int peer) {
  if (peer < 0 || peer >= options_.ranks || peer == rank) {
    throw Error(
        ErrorCode::invalid_argument,
        "rank " + std::to_string(rank) + " cannot be linked to rank " + std::to_string(peer));
  }
  const auto pair = std::minmax(rank, peer);
  const auto side = static_cast<std::size_t>(rank == pair.first ? 0 : 1);
  std::shared_ptr<Link> link;
  if (const auto found = half_made_.find(pair); found != half_made_.end()) {
    link = found->second.lock();
    if (link && link->sides[side].joined) link = nullptr;  // tried again before the peer came
  }
  if (link) {
    half_made_.erase(pair);
  } else {
    link = std::make_shared<Link>(*this, pair.first, pair.second);
    half_made_[pair] = link;
  }
  link->sides[side].joined = true;
  return link;
}

void Core::leave(const std::shared_ptr<Link>& link, int side) noexcept {
  Side& leaver = link->sides[static_cast<std::size_t>(side)];
  if (leaver.closed) return;
  leaver.closed = true;
  // What has left the rank still arrives; then the peer notices.
  post({.kind = Event::Kind::broken, .side = 1 - side, .link = link},
       std::max(now_ + options_.latency, leaver.in_flight_until));
}

void Core::kill(int rank) {
  Rank& victim = of(rank);
  if (victim.dead) return;
  victim.dead = true;
  victim.died_at = now_;
  woken_.push_back(rank);
  if (options_.detection == SimOptions::kNever) return;
  for (Link* link : victim.links) {
    const int side = link->sides[0].rank == rank ? 0 : 1;
    post({.kind = Event::Kind::broken, .side = 1 - side, .link = link->shared_from_this()},
         now_ + options_.detection);
  }
}

bool Core::known_dead(int rank) const {
  return dead(rank) && options_.detection != SimOptions::kNever &&
         now_ >= of(rank).died_at + options_.detection;
}

bool Core::same_host(int a, int b) const {
  return a / options_.ranks_per_host == b / options_.ranks_per_host;
}

// --- memory

std::uint64_t Core::add_memory(int rank, const MemoryView& memory, bool reachable) {
  const std::uint64_t number = next_memory_++;
  of(rank).memory.emplace(number, Memory{memory.data, memory.length, reachable});
  return number;
}

void Core::remove_memory(int rank, std::uint64_t number) noexcept {
  of(rank).memory.erase(number);
}

std::byte* Core::find(int rank, RemoteAddress address, std::size_t length) const {
  const auto found = of(rank).memory.find(address.key);
  if (found == of(rank).memory.end() || !found->second.reachable) return nullptr;
  return within(found->second.data, found->second.length, address.address, length);
}

}  // namespace paceline::transport::sim
