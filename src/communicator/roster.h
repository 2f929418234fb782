// What every rank tells the others about itself once, at creation, and what follows from all of
// it together. Every rank computes the same.
#pragma once

#include <sched.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/wire.h"
#include "collectives/placement.h"
#include "paceline/config.h"

namespace paceline {

/// The transports' numbers, the same on all ranks, in the order in which they are preferred.
enum class WireNumber : std::uint8_t { shm = 0, verbs = 1, tcp = 2 };
inline constexpr std::uint8_t kWireCount = 3;
inline constexpr const char* kWireNames[kWireCount] = {"shm", "verbs", "tcp"};

/// What one rank says of one transport.
struct WireCard {
  bool offered = false;
  std::string why_not = {};  ///< if it is not offered
  Bytes description = {};    ///< Transport::describe()
};

/// A tuning file (tuning.h) as rank 0 has read it.
struct TuningText {
  /// What fits into a card with everything else; a thousand rules.
  static constexpr std::size_t kMost = 48 * 1024;
  std::string path = {};  ///< empty: there is none
  std::string text = {};
  std::string trouble = {};  ///< why it could not be read: a whole sentence
};

/// What one rank says of itself.
struct RankCard {
  std::string host_id;
  std::string host_name;
  std::uint32_t pid = 0;
  cpu_set_t cores = {};  ///< where it may run
  WireCard wires[kWireCount];
  // Rank 0's are used by all.
  Algorithm algorithm = Algorithm::automatic;
  std::uint32_t eager_bytes = 0;
  std::uint32_t segment_bytes = 0;
  std::uint8_t lanes = 0;
  TuningText tuning = {};

  /// About this process, without the wires and the tuning.
  static RankCard mine(const Config& config, const std::string& host_id);
  [[nodiscard]] Bytes write() const;
  /// Throws Error (bootstrap_failed) if the bytes are not a card.
  static RankCard read(int rank, ConstBytes bytes);
};

class Roster {
 public:
  Roster() = default;
  Roster(int rank, const std::vector<Bytes>& cards);

  [[nodiscard]] int size() const { return static_cast<int>(cards_.size()); }
  [[nodiscard]] const RankCard& operator[](int rank) const {
    return cards_[static_cast<std::size_t>(rank)];
  }
  /// "rank 3 (node7, pid 4711)".
  [[nodiscard]] std::string name(int rank) const;
  [[nodiscard]] int ranks_on_host() const { return ranks_on_host_; }
  [[nodiscard]] int hosts() const { return placement_ == nullptr ? 1 : placement_->hosts(); }
  /// Which ranks are on which host.
  [[nodiscard]] const std::shared_ptr<const collectives::Placement>& placement() const {
    return placement_;
  }
  /// Ranks on this host by the cores that they may run on, rounded up; at least 1.
  [[nodiscard]] int ranks_per_core() const { return ranks_per_core_; }
  /// The same of the host where it is most: the same on every rank.
  [[nodiscard]] int most_ranks_per_core() const { return most_ranks_per_core_; }

 private:
  std::vector<RankCard> cards_;
  int ranks_on_host_ = 1;
  std::shared_ptr<const collectives::Placement> placement_;
  int ranks_per_core_ = 1;
  int most_ranks_per_core_ = 1;
};

}  // namespace paceline
