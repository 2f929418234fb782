// The contract in virtual time: thousands of ranks in one process and one thread, with latency,
// bandwidth, delay, reordering, loss and death as asked for. Nothing happens but what advance()
// makes happen, and the same seed gives the same run.
//
//   SimFabric fabric({.ranks = 2, .latency = 1000});
//   auto a = fabric.make_transport(0);
//   auto b = fabric.make_transport(1);
//   auto [at_a, at_b] = link_ranks(*a, 0, *b, 1);
//   ... at_a->put(...);
//   while (at_b->arrived(0) < 1 && fabric.advance()) {}
//
// See docs/design/transport.md for what is modelled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "base/clock.h"
#include "transport/transport.h"

namespace paceline::transport {

namespace sim {
class Core;
}

/// What the simulated network is like. The default is the plain α–β model: n bytes posted on an
/// idle link arrive latency + n * nanoseconds_per_byte later, and what is posted on one side of a
/// link leaves one after the other.
struct SimOptions {
  int ranks = 2;
  std::uint64_t seed = 1;

  // --- time ----------------------------------------------------------------------------------
  Nanoseconds latency = 1000;         ///< α
  double nanoseconds_per_byte = 0.1;  ///< β; 0.1 is 10 GB/s

  // --- trouble that the contract allows ------------------------------------------------------
  /// Each put, signal and message takes up to this much longer, evenly distributed. Lanes and
  /// messages overtake each other; within a lane, and among messages, order is kept.
  Nanoseconds extra_delay = 0;
  /// Payload is read from its source and written to its place in two halves, each at a random
  /// moment between post and arrival. Otherwise it is done when the last byte has left.
  bool reorder = false;
  /// Probability, below 1, that a packet is lost and sent again `retransmission` later.
  double loss = 0;
  Nanoseconds retransmission = 200'000;
  /// Puts that still need their source, per endpoint, before put() returns false; at least 1.
  std::size_t queue_depth = 64;
  /// Messages on the way to or in a mailbox before send() returns false; at least 1.
  std::size_t mailbox = 64;

  // --- death ---------------------------------------------------------------------------------
  static constexpr Nanoseconds kNever = -1;
  /// How long after a rank was killed its peers' endpoints break; kNever: they just hear nothing.
  Nanoseconds detection = kMillisecond;

  // --- memory --------------------------------------------------------------------------------
  /// Ranks 0..n-1 are on the first host, and so on.
  int ranks_per_host = 1;
  /// Endpoint::map works between ranks of one host.
  bool mappable = false;
  /// Endpoint::get works between ranks of one host. It takes no time.
  bool gettable = false;
  /// What Endpoint::get_beats_copies says where get works.
  bool get_beats_copies = true;
  /// False for memory that shall have no key ("staged"); empty: all memory has one.
  std::function<bool(const MemoryView&)> can_register = {};
  /// What Endpoint::keeps_lines says on a rank, asked each time; empty: false.
  std::function<bool(int rank)> keeps_lines = {};
  /// What Endpoint::streams says on a rank, asked each time; empty: false.
  std::function<bool(int rank)> streams = {};
  /// Told of each Endpoint::expect on a rank.
  std::function<void(int rank, bool beyond_caches)> on_expect = {};
  /// Told of each get: the rank that makes it, and of how much.
  std::function<void(int rank, std::size_t bytes)> on_get = {};
  /// Told of each put of data: the rank that makes it, and where it goes.
  std::function<void(int rank, const RemoteAddress& target)> on_put = {};
};

class SimFabric {
 public:
  /// Throws Error (invalid_argument) for options out of range.
  explicit SimFabric(const SimOptions& options);
  ~SimFabric();
  SimFabric(const SimFabric&) = delete;
  SimFabric& operator=(const SimFabric&) = delete;

  /// Rank `rank`'s transport, 0 <= rank < ranks. It and all that is made by it may outlive the
  /// fabric; time then stands still.
  [[nodiscard]] std::unique_ptr<Transport> make_transport(int rank);

  /// Virtual time; starts at 0.
  [[nodiscard]] Nanoseconds now() const;
  /// Goes on to the next event and makes it happen; false if there is none.
  bool advance();
  /// The ranks to whom the last advance() brought news: only they need to be looked at.
  [[nodiscard]] std::span<const int> woken() const;
  /// How many events have happened.
  [[nodiscard]] std::uint64_t events() const;

  /// An event that only wakes `rank`: for computation that takes time, and for deadlines.
  void wake_at(int rank, Nanoseconds when);

  /// The rank dies: what has not left it never will, what it calls throws, and its peers notice
  /// after SimOptions::detection.
  void kill(int rank);
  void kill_at(int rank, Nanoseconds when);

 private:
  std::shared_ptr<sim::Core> core_;
};

/// Links two ranks of one fabric: a's endpoint, then b's.
std::pair<std::unique_ptr<Endpoint>, std::unique_ptr<Endpoint>> link_ranks(Transport& a, int rank_a,
                                                                           Transport& b,
                                                                           int rank_b);

}  // namespace paceline::transport
