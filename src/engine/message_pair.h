// The sends and recvs between this rank and one peer.
//
// Small (at most eager_bytes): the data travels in the record that tells of the message. If no recv
// waits for it, it is copied aside until one comes. How much a peer keeps in this way is bounded
// (kEagerWindow); beyond that a small message is treated like a large one.
//
// Large: the sender *offers* it. The receiver finds the recv that it is for, compares, and
// *requests* the data: there. The sender puts it, on a lane of its own, in the order of the
// requests; so the receiver knows, by counting, which message each put belongs to.
//
//      sender                                   receiver
//      send():  offer {tag, count, type} ------> a recv with that tag? compare
//                                      <-------- request {address, key}
//      put ------------------------------------> done
//      done, when the wire no longer needs the
//      source, or the receiver says that it has it
//
// Who decides. Only the receiver compares, before anything is written into its caller's memory, and
// whether a message is small is the sender's business alone: what the recv expects does not matter.
// Nothing needs to be told when a recv is called, so a tag costs nothing while no message of it is
// under way.
//
// Staged: where the wire cannot put into the caller's memory (plain memory between ranks of a
// host), the request names the *bounce*, kBounceSegments places in memory that it can. The sender
// puts segments into them in turn, the receiver copies each to where it belongs, and says so by the
// puts that it counts as landed in every record.
//
// Order. Records of one direction are heard in the order in which they were told, which is that of
// the calls; the recvs of one tag are matched in the order of their calls. That is all the order
// there is.
//
// Threads: the owner of progress only.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "engine/message.h"
#include "engine/record_channel.h"
#include "engine/tag_queues.h"

namespace paceline::engine {

class Engine;

/// Two places let the sender fill one while the receiver empties the other; two more cover that
/// they do not take turns exactly. A segment stays in a core's own cache on its way.
inline constexpr std::size_t kBounceSegments = 4;
inline constexpr std::size_t kBounceSegment = 32 * 1024;

/// What a send or recv waits for.
enum class Awaited : std::uint8_t {
  link,
  answer,  ///< that the peer says where its ring is
  room,    ///< in the peer's ring
  recv,    ///< that the peer calls it
  send,    ///< that the peer calls it
  taking,  ///< that the wire, or the peer, takes data
  data,
};

struct MessageWait {
  MessageCall call = {};
  Nanoseconds since = 0;  ///< it has not moved since then
  Awaited awaited = Awaited::link;
};

class MessagePair {
 public:
  MessagePair(Engine& engine, int peer) : engine_(engine), peer_(peer) {}

  /// Takes on a call.
  void add(const MessagePtr& message) { fresh_.push_back(message); }
  /// Makes the channel, though this rank has nothing to say, since the peer has begun to.
  void begin_to_answer() { answering_ = true; }
  /// One pass; true if anything moved. Throws what ends the communicator.
  bool advance();
  /// True if advance() has nothing to do until a call comes.
  [[nodiscard]] bool idle() const;

  /// The one that has waited longest, if any waits. Starts the clocks of those that wait now.
  std::optional<MessageWait> examine(Nanoseconds now);
  /// Throws if the link is broken that they wait for, once all that came before has been heard.
  void require_link() const;

  /// Every one that is not finished.
  template <class Action>
  void each(Action&& action);
  /// Ends all of them with what `failure` makes of each.
  template <class Failure>
  void fail(Failure&& failure);

  /// Of the memory that it has allocated.
  [[nodiscard]] std::size_t bytes() const;

 private:
  /// A message that has come before its recv. Of one that was eager, the data.
  struct Arrival {
    Record record = {};
    Bytes data = {};
    MessagePtr own = nullptr;  ///< this rank's send to itself, if it waits for its recv
  };

  [[nodiscard]] bool has_calls() const;
  /// Small: its data goes with what tells of it.
  [[nodiscard]] bool travels_with_record(std::size_t bytes) const;
  bool open();
  bool answer();
  bool take_in();
  bool tell();
  bool hear();
  void handle(const Record& record, ConstBytes payload);
  void settle(const MessagePtr& recv, Arrival arrival);
  void receive_eager(Message& recv, ConstBytes payload);
  void request(const MessagePtr& recv, const Record& offer);
  void take_request(const Record& record);
  bool serve();
  bool put(Message& send, bool& done);
  bool land();
  bool let_go();
  void send_to_self(const MessagePtr& send);
  void compare(const Message& recv, const Record& record) const;
  void finish(Message& message);

  Engine& engine_;
  const int peer_;
  Edge* edge_ = nullptr;
  std::unique_ptr<RecordChannel> channel_;
  bool answering_ = false;

  std::deque<MessagePtr> fresh_;  ///< calls that nothing has been done about, in their order

  // Sends, in the order of what becomes of them.
  std::deque<MessagePtr> untold_;   ///< no record has gone out
  TagQueues<MessagePtr> offered_;   ///< to be requested
  std::deque<MessagePtr> serving_;  ///< requested; the first one is being put
  std::deque<MessagePtr> leaving_;  ///< put; the wire may still need the source
  std::uint64_t sent_ = 0;          ///< numbers given out

  // Recvs.
  TagQueues<MessagePtr> posted_;       ///< no message has come
  TagQueues<Arrival> unexpected_;      ///< no recv has come
  std::size_t kept_ = 0;               ///< bytes of what this rank has sent to itself
  std::size_t own_waiting_ = 0;        ///< its sends to itself that wait for their recv
  std::deque<MessagePtr> requesting_;  ///< the request has not gone out
  std::deque<MessagePtr> coming_;      ///< requested, in the order in which the data comes
  std::uint64_t received_ = 0;         ///< numbers seen

  // Staging.
  std::shared_ptr<memory::Region> bounce_;                    ///< ours; made when first needed
  std::uint64_t segments_in_ = 0;                             ///< copied out of it
  std::uint64_t segments_out_ = 0;                            ///< put into the peer's
  std::array<std::uint64_t, kBounceSegments> segment_put_{};  ///< by place: which put was the last
};

template <class Action>
void MessagePair::each(Action&& action) {
  for (auto* queue : {&fresh_, &untold_, &serving_, &leaving_, &requesting_, &coming_}) {
    for (const MessagePtr& message : *queue) action(*message);
  }
  for (auto* queue : {&offered_, &posted_}) {
    queue->each([&](const MessagePtr& message) { action(*message); });
  }
  unexpected_.each([&](const Arrival& arrival) {
    if (arrival.own != nullptr) action(*arrival.own);
  });
}

template <class Failure>
void MessagePair::fail(Failure&& failure) {
  each(failure);
  for (auto* queue : {&fresh_, &untold_, &serving_, &leaving_, &requesting_, &coming_}) {
    queue->clear();
  }
  offered_.clear();
  posted_.clear();
  unexpected_.clear();
  own_waiting_ = 0;
}

}  // namespace paceline::engine
