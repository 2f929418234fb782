// Bruck's all_gather over the control links; which rank sends what to whom is in graph.h.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/wire.h"
#include "bootstrap/messages.h"

namespace paceline::bootstrap {

/// Used on the service thread only. One all_gather at a time; blocks of the next one may arrive
/// before we have begun it.
class AllGather {
 public:
  struct Events {
    std::function<void(int peer, ConstBytes blocks)> send = {};
    std::function<bool(int peer)> has_left = {};
    /// All blocks, in rank order.
    std::function<void(std::vector<Bytes>)> done = {};
    /// A peer whose block is missing has left, so it never comes.
    std::function<void(int peer)> hopeless = {};
  };

  AllGather(int rank, int size, Events events);

  void begin(Bytes mine);
  /// False if the frame makes no sense.
  [[nodiscard]] bool on_blocks(int peer, ConstBytes payload);
  void on_left();

  struct Waiting {
    int peer = 0;
    int round = 0;
  };
  /// For whom we wait; nothing if none is under way.
  [[nodiscard]] std::optional<Waiting> waiting() const;
  /// Rounds that all all_gathers have taken so far.
  [[nodiscard]] int rounds_taken() const { return rounds_taken_; }

 private:
  struct Gathering {
    std::map<std::uint32_t, Bytes> blocks;          // by owner
    std::map<std::uint32_t, int> arrived_in_round;  // by round
  };

  void send_round();
  [[nodiscard]] bool take(int peer, const Block& block);
  void advance();

  const int rank_;
  const int size_;
  Events events_;
  std::map<std::uint32_t, Gathering> gatherings_;  // by sequence: the current one and the next
  std::uint32_t sequence_ = 0;
  int round_ = 0;
  bool active_ = false;
  int rounds_taken_ = 0;
};

}  // namespace paceline::bootstrap
