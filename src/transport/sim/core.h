// The simulation itself: what is going to happen, when, and to which link.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/wire.h"
#include "paceline/error.h"
#include "transport/transport.h"
#include "transport_sim/sim_fabric.h"

namespace paceline::transport::sim {

class Core;

/// One end of a link.
struct Side {
  int rank = 0;
  bool joined = false;  ///< its rank has called connect()
  /// Closed by its own rank: nothing comes in any more, nothing more leaves.
  bool closed = false;
  std::unique_ptr<Error> error = {};  ///< broken; what came before can still be taken

  // Sending.
  Nanoseconds busy_until = 0;       ///< the wire is taken that long by what was posted
  Nanoseconds in_flight_until = 0;  ///< arrival of the last thing that no longer needs this rank
  std::size_t unplaced = 0;         ///< parts of payloads that still need their source
  std::size_t uncredited = 0;       ///< messages in the peer's mailbox or on the way
  std::array<Nanoseconds, kMaxLanes> lane_until = {};  ///< arrival of each lane's last put
  Nanoseconds messages_until = 0;
  std::array<bool, kMaxLanes> lane_stopped = {};  ///< a put was dropped: nothing after it counts

  // Receiving.
  std::array<std::uint64_t, kMaxLanes> arrived = {};
  std::list<Bytes> mailbox = {};  // costs nothing while empty, unlike a deque
};

struct Link : std::enable_shared_from_this<Link> {
  explicit Link(Core& of, int low, int high);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  Core& core;
  std::array<Side, 2> sides;  ///< the lower rank's, the higher rank's
};

struct Event {
  enum class Kind : std::uint8_t {
    place,    ///< a payload of `side` is read and written to its place
    count,    ///< a put or signal of `side` becomes visible to the other
    message,  ///< a message of `side` reaches the other's mailbox
    credit,   ///< `side` learns that the other has popped a message
    broken,   ///< `side` learns that the other is gone
    kill,     ///< `rank` dies
    wake,     ///< `rank` is woken
  };
  Nanoseconds time = 0;
  std::uint64_t serial = 0;  ///< what is posted first happens first
  Kind kind = Kind::wake;
  int rank = 0;
  int side = 0;
  Lane lane = 0;
  std::shared_ptr<Link> link = {};
  ConstBytes source = {};     ///< of the whole put
  RemoteAddress target = {};  ///< of the whole put
  std::size_t offset = 0;     ///< [offset, offset + length) of it is placed
  std::size_t length = 0;
  Nanoseconds arrival = 0;  ///< of the put that a `place` belongs to
  Bytes message = {};
};

class Core {
 public:
  explicit Core(const SimOptions& options);

  [[nodiscard]] const SimOptions& options() const { return options_; }
  [[nodiscard]] Nanoseconds now() const { return now_; }
  [[nodiscard]] std::span<const int> woken() const { return woken_; }
  [[nodiscard]] std::uint64_t events() const { return happened_; }
  bool advance();

  /// The link that both ranks' connect() means, made by whoever comes first.
  [[nodiscard]] std::shared_ptr<Link> join(int rank, int peer);
  void leave(const std::shared_ptr<Link>& link, int side) noexcept;
  [[nodiscard]] bool same_host(int a, int b) const;

  void post_put(const std::shared_ptr<Link>& link, int side, Lane lane, ConstBytes source,
                RemoteAddress target);
  /// A payload is placed in so many parts, each at a moment of its own.
  [[nodiscard]] std::size_t parts_of_a_put() const { return options_.reorder ? 2 : 1; }
  void post_message(const std::shared_ptr<Link>& link, int side, Bytes message);
  void post_credit(const std::shared_ptr<Link>& link, int side);
  void post(Event event, Nanoseconds when);
  void kill(int rank);

  [[nodiscard]] std::uint64_t add_memory(int rank, const MemoryView& memory, bool reachable);
  void remove_memory(int rank, std::uint64_t number) noexcept;
  /// Where `length` > 0 bytes of `rank` are; null unless they are registered by that key.
  [[nodiscard]] std::byte* find(int rank, RemoteAddress address, std::size_t length) const;

  [[nodiscard]] bool dead(int rank) const { return of(rank).dead; }
  /// True if the peers of a dead rank know.
  [[nodiscard]] bool known_dead(int rank) const;

 private:
  friend struct Link;
  struct Memory {
    std::byte* data;
    std::size_t length;
    bool reachable;
  };
  struct Rank {
    bool dead = false;
    Nanoseconds died_at = 0;
    std::unordered_map<std::uint64_t, Memory> memory = {};
    std::set<Link*> links = {};
  };
  [[nodiscard]] Rank& of(int rank) { return ranks_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] const Rank& of(int rank) const { return ranks_[static_cast<std::size_t>(rank)]; }

  /// When `bytes` that are posted now by `side` have left, and when they arrive.
  struct Times {
    Nanoseconds departure;
    Nanoseconds arrival;
  };
  [[nodiscard]] Times transmit(Side& from, std::size_t bytes);
  [[nodiscard]] std::uint64_t random();
  /// Evenly distributed, both ends included.
  [[nodiscard]] Nanoseconds random_between(Nanoseconds first, Nanoseconds last);
  [[nodiscard]] double random_fraction();

  void happen(Event& event);
  void place(const Event& event);
  void count(const Event& event);
  void deliver(Event& event);
  void refuse(Link& link, int side, const Event& event);

  SimOptions options_;
  Nanoseconds now_ = 0;
  std::uint64_t serial_ = 0;
  std::uint64_t happened_ = 0;
  std::uint64_t random_state_;
  std::uint64_t next_memory_ = 1;
  std::vector<Rank> ranks_;
  std::map<std::pair<int, int>, std::weak_ptr<Link>> half_made_;
  std::vector<int> woken_;
  std::vector<Event> queue_;  // a heap, the next event on top; gone before ranks_, for Link's sake
};

}  // namespace paceline::transport::sim
