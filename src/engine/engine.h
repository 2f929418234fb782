// Runs operations over endpoints. A poll function: it never blocks, has no thread, and is told the
// time, so that it runs in virtual time as well.
//
// It is the only place where segments, lanes, waiting for peers, deadlines and mismatches are
// dealt with. Operations run one after the other, in the order of the calls, which is the same on
// all ranks.
//
// An operation that is small enough runs eagerly (eager_run.h): each put travels as one message
// with the header that says what is called. Any other announces itself (announcement.h) to its
// peers and then runs its lanes (put_run.h), each of which takes one instance after the other
// through the steps of the schedule, lowered edge by edge.
//
// Threads: the owner of progress only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "collectives/lowering.h"
#include "engine/announcement.h"
#include "engine/custom_reduce.h"
#include "engine/history.h"
#include "engine/message.h"
#include "engine/message_history.h"
#include "engine/operation.h"
#include "engine/plan.h"
#include "engine/point_to_point.h"
#include "engine/rotating_memory.h"
#include "engine/staging.h"
#include "engine/vitals.h"
#include "memory/registrar.h"
#include "transport/transport.h"

namespace paceline::engine {

/// What the engine needs to know of the outside.
class Peers {
 public:
  virtual ~Peers() = default;
  /// The endpoint to `peer`; null while its link is not up yet (asking starts to make it). An
  /// endpoint stays valid until the engine has failed.
  virtual transport::Endpoint* endpoint(int peer) = 0;
  /// True if there is one already, since the peer has asked for it; starts nothing.
  virtual bool linked(int peer) = 0;
  /// Number of the transport that links us to `peer`, as the Registrar counts them.
  virtual std::size_t transport_of(int peer) = 0;
  /// "rank 3 (node7, pid 4711)", for error texts.
  virtual std::string name(int peer) = 0;
};

/// This side of what two ranks share: the endpoint, what has been consumed on it, and what the
/// peer has announced for the current operation.
struct Edge {
  int peer = -1;
  transport::Endpoint* endpoint = nullptr;
  std::size_t transport = 0;
  /// The peer has been sent the address of its cell, or cannot be sent anything any more.
  bool greeted = false;
  /// Ours at the peer (record_channel.h); no key until it has come.
  transport::RemoteAddress cell = {};
  /// Puts and signals of the peer that earlier waits have used up, per lane.
  std::array<std::uint64_t, transport::kPipelineLanes> consumed = {};

  /// The operation that the rest is about, plus one.
  std::uint64_t bound_for = 0;
  Announcement theirs = {};
  collectives::EdgeReach reach = {};
  /// The mapped outputs of this edge are filled by either end in turn (put_fetch.cpp).
  bool in_turns = false;
  /// How far a block of the output has been fetched (put_fetch.cpp).
  struct Fetched {
    std::uint64_t block = 0;  ///< its offset in the schedule
    std::uint64_t end = 0;    ///< the first instance that has not
  } fetched;
  /// What is given may be kept: both ends like that.
  bool keeps = false;
  /// How often slots have been used in turn: odd, what is given is kept next. Both ends count
  /// alike. And what it will be when the operation is over.
  std::uint64_t slot_uses = 0;
  std::uint64_t next_slot_uses = 0;
  // Where the peer's buffers are mapped here; null if they are not.
  std::byte* input = nullptr;
  std::byte* output = nullptr;
  std::byte* scratch = nullptr;
  /// What of ours the peer was told.
  Announcement ours = {};
};

class Engine {
 public:
  Engine(const PlanOptions& options, Nanoseconds timeout, Peers& peers,
         std::shared_ptr<memory::Registrar> registrar,
         std::size_t history = History::kDefaultLength);
  ~Engine();

  /// Queues a call. The buffers are the operation's until it is finished.
  std::shared_ptr<Operation> submit(const Call& call, const Buffers& buffers);
  /// The same call again, by an operation of submit()'s that is finished; allocates nothing.
  void resubmit(const std::shared_ptr<Operation>& operation);
  /// The same for a caller that stays until it is finished, one at a time: the operation is the
  /// engine's own, used again for the next such call, so that a small one allocates nothing.
  Operation& submit_blocking(const Call& call, const Buffers& buffers);

  /// Starts a send, of `source`, or a recv, into `target`.
  MessagePtr submit(const MessageCall& call, const std::byte* source, std::byte* target) {
    return point_to_point_.submit(call, source, target);
  }

  /// One pass; true if anything moved. Throws the Error that ends the communicator: the caller
  /// then calls fail() with the Error that everybody is to see.
  bool poll(Nanoseconds now);

  /// Fails everything that has not finished, and everything submitted from now on.
  void fail(const Error& error);

  [[nodiscard]] std::size_t scratch_bytes() const {
    return scratch_.size() + staging_.bytes() + (cells_ == nullptr ? 0 : cells_->size()) +
           point_to_point_.bytes();
  }
  [[nodiscard]] bool idle() const { return first_ == nullptr && point_to_point_.idle(); }
  /// The operation that is running; null if none is.
  [[nodiscard]] const Operation* current() const { return first_; }
  /// What this rank is doing; may be read by any thread, as long as the engine lives.
  [[nodiscard]] const Vitals& vitals() const { return vitals_; }
  [[nodiscard]] const History& history() const { return history_; }
  /// Collectives, sends and recvs, oldest first.
  [[nodiscard]] std::vector<OperationRecord> records() const;
  [[nodiscard]] const PointToPoint& point_to_point() const { return point_to_point_; }
  /// For how long the current operation has not moved.
  [[nodiscard]] Nanoseconds stalled(Nanoseconds now) const {
    const Nanoseconds since = vitals_.stopped_since();
    return since == 0 ? 0 : now - since;
  }

  /// Looks for peers that the current operation does not talk to but that are calling something
  /// else, for a passed deadline, and for peers that begin to send to this rank. For turns in which
  /// nothing moves; throws like poll().
  void examine_stall(Nanoseconds now);

 private:
  friend class EagerRun;
  friend class PutRun;
  friend class MessagePair;
  friend class PointToPoint;

  const std::shared_ptr<const Plan>& plan_for(const Call& call);
  void enqueue(Operation& operation);
  void append(Operation& operation);
  /// Takes the first one off the queue; that may end its life.
  void take_first();
  /// Puts a call down in the history and the vitals.
  void record(Operation& operation, bool first);
  /// The first of the queue, unless that has been done.
  void record_first(Operation& operation) {
    if (!operation.recorded_) record(operation, true);
  }
  Edge& edge(int peer) {
    const auto& slot = edges_[static_cast<std::size_t>(peer)];
    return slot != nullptr ? *slot : new_edge(peer);
  }
  Edge& new_edge(int peer);
  [[nodiscard]] bool linked(int peer);
  bool connect(Edge& edge);
  bool take_cell(Edge& edge);
  std::byte* cell_of(int peer);
  bool link(Operation& operation);
  bool advance(Operation& operation);
  void finish(Operation& operation);
  /// Throws what is wrong with a message that is not the one `operation` expects on `edge`.
  [[noreturn]] void refuse(const Operation& operation, const Edge& edge, ConstBytes message) const;
  [[nodiscard]] Vitals::Stand stand(const Operation& operation) const;
  [[noreturn]] void throw_timeout(const Operation& operation) const;
  [[nodiscard]] Error::Where where(const Operation& operation, int peer) const;
  [[nodiscard]] Error::Where where(const Message& message, int peer) const;
  static ConstBytes look(const Edge& edge, int waiting_for);
  /// By what an average's sum is divided, in the last reduce of its elements: schedule.h,
  /// "Results".
  [[nodiscard]] std::uint32_t divisor() const { return static_cast<std::uint32_t>(options_.size); }
  /// Combines sources_ into destinations_, which the caller has filled. `last`: gives results.
  void combine(const Operation& operation, std::size_t count, bool last, std::size_t streamed = 0);
  void stage(Operation& operation);
  void store(Operation& operation) const;
  [[nodiscard]] std::uint64_t input_count(const Operation& operation) const;
  [[nodiscard]] std::uint64_t output_count(const Operation& operation) const;
  /// Whether this call, or those that are made with it, touch more than is found in a cache later.
  [[nodiscard]] bool beyond_caches(const Operation& operation) const;

  PlanOptions options_;
  Nanoseconds timeout_;
  Peers& peers_;
  std::shared_ptr<memory::Registrar> registrar_;

  std::vector<std::unique_ptr<Edge>> edges_;  ///< by rank; null until first used
  // The queue, linked through the operations themselves, so that it allocates nothing.
  Operation* first_ = nullptr;
  Operation* last_ = nullptr;
  std::unique_ptr<Operation> blocking_ = std::make_unique<Operation>();
  Nanoseconds now_ = 0;  ///< of this poll; 0: the caller has not looked at the clock yet
  std::uint64_t next_sequence_ = 0;
  Vitals vitals_;
  std::size_t remembered_;
  History history_;
  MessageHistory message_history_;
  std::optional<Error> failure_;

  struct CallHash {
    std::size_t operator()(const Call& c) const {
      return static_cast<std::size_t>((c.word() ^ c.count * 0x9e3779b97f4a7c15u) *
                                      0xbf58476d1ce4e5b9u);
    }
  };
  std::unordered_map<Call, std::shared_ptr<const Plan>, CallHash> plans_;
  std::shared_ptr<const Plan> last_plan_;
  /// The last small call for which links and scratch were found: they stay until the engine fails.
  std::shared_ptr<const Plan> linked_plan_;

  RotatingMemory scratch_;
  Staging staging_;
  CustomReduce custom_;
  /// One for each peer, in which it says where its ring is; made with the first link.
  std::shared_ptr<memory::Region> cells_;
  /// Room for the operands of one reduce.
  std::vector<const std::byte*> sources_;
  std::vector<std::byte*> destinations_;
  PointToPoint point_to_point_{*this};
};

}  // namespace paceline::engine
