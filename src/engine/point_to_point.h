// The sends and recvs of this rank: one MessagePair for each peer that it exchanges messages with.
//
// Nothing here knows of collectives, nor they of this; the engine polls both. A pair that has
// nothing to do costs nothing.
//
// Strangers. A rank that sends to a peer for the first time needs to know where that one's ring is,
// and the peer tells when it sends or receives itself, or when it has nothing better to do:
// examine() looks whether somebody has begun. So a rank that waits in a collective, or for a third
// one, still lets others send to it.
//
// Threads: the owner of progress only.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/message_pair.h"

namespace paceline::engine {

class PointToPoint {
 public:
  explicit PointToPoint(Engine& engine);

  MessagePtr submit(const MessageCall& call, const std::byte* source, std::byte* target);

  [[nodiscard]] bool idle() const { return active_.empty(); }
  /// One pass over all pairs that have something to do; true if anything moved.
  bool poll();
  /// Answers strangers, leaves in the vitals who waits, and throws when a deadline has passed.
  void examine(Nanoseconds now);
  void fail(const Error& error);

  /// The message whose deadline has passed: what examine() has thrown.
  [[nodiscard]] const std::optional<MessageWait>& late() const { return late_; }
  /// A send or recv with that peer, if one is under way.
  [[nodiscard]] std::optional<MessageCall> call_with(int peer) const;
  /// "rank 3 (node7, pid 4711) to call send(to 0, tag 7)".
  [[nodiscard]] std::string awaited(const MessageWait& wait) const;

  /// Of the memory that it has allocated.
  [[nodiscard]] std::size_t bytes() const;

 private:
  MessagePair& pair(int peer);
  void activate(int peer);
  void answer_strangers();

  Engine& engine_;
  std::vector<std::unique_ptr<MessagePair>> pairs_;  ///< by rank; null until first used
  std::vector<MessagePair*> active_;                 ///< not idle
  std::optional<MessageWait> late_;
};

}  // namespace paceline::engine
