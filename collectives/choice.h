// Which algorithm, segment and lanes a call takes, of how many bytes: decided once, when a
// communicator is made, and looked up for each call.
//
// What decides, the first of:
//   the configuration   an algorithm, a segment, a number of lanes that is set is taken (the
//                       algorithm by those collectives that offer it)
//   a rule              of the tuning file: the first one that matches
//   the cost model      the least predicted time (cost.h)
// What a rule leaves open, and what the configuration does, is the model's.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "collectives/cost.h"

namespace paceline::collectives {

/// How a call is run.
struct Choice {
  Algorithm algorithm = Algorithm::automatic;
  std::uint32_t segment_bytes = 128 * 1024;
  std::int32_t lanes = 2;
  bool operator==(const Choice&) const = default;
};

/// first..last, both included.
template <class T>
struct Range {
  T first = 0;
  T last = std::numeric_limits<T>::max();
  [[nodiscard]] bool holds(T value) const { return first <= value && value <= last; }
  bool operator==(const Range&) const = default;
};

/// A line of a tuning file: in such a situation, these. What is not given is the cost model's.
struct Rule {
  Collective collective = Collective::all_reduce;
  Range<std::uint64_t> bytes = {};  ///< of a block
  Range<int> ranks = {};
  Range<int> hosts = {};
  std::optional<Algorithm> algorithm = {};
  std::optional<std::uint32_t> segment_bytes = {};
  std::optional<std::int32_t> lanes = {};
  int line = 0;  ///< of the file
};

/// All that a choice depends on, but for the call; the same on all ranks.
struct Policy {
  Layout layout = {};
  CostParameters parameters = {};
  std::vector<Rule> rules = {};
  std::size_t eager_bytes = 4096;
  std::size_t eager_piece_bytes = std::numeric_limits<std::size_t>::max();
  // From the configuration; automatic and 0 leave it open.
  Algorithm algorithm = Algorithm::automatic;
  std::size_t segment_bytes = 0;
  int lanes = 0;

  /// How a call is cut by a choice.
  [[nodiscard]] Cut cut(const Choice& choice) const {
    return {eager_bytes, choice.segment_bytes, choice.lanes, eager_piece_bytes};
  }
};

struct Candidate {
  Choice choice = {};
  double predicted_ns = 0;
};

/// Each algorithm that offers the collective, with its best segment and lanes; the fastest first,
/// or one that is as good.
std::vector<Candidate> candidates(Collective collective, std::uint64_t bytes, const Policy& policy);

/// The rule that says something of such a call, if there is one.
const Rule* matching_rule(Collective collective, std::uint64_t bytes, const Policy& policy);

/// The choice for such a call, without a table. The table is right at the sizes that it was made
/// from, and at most a few bytes off between them.
Candidate decide(Collective collective, std::uint64_t bytes, const Policy& policy);

/// The table. Immutable; any thread.
class Choices {
 public:
  Choices() = default;
  explicit Choices(const Policy& policy);

  /// For a call with blocks of `bytes`. A handful of comparisons.
  [[nodiscard]] const Choice& at(Collective collective, std::uint64_t bytes) const {
    const std::vector<Entry>& entries = of_[static_cast<std::size_t>(collective)];
    std::size_t i = 0;
    while (entries[i].last < bytes) ++i;
    return entries[i].choice;
  }

  struct Entry {
    std::uint64_t last = 0;  ///< up to so many bytes; the last one's is the largest number
    Choice choice = {};
    bool operator==(const Entry&) const = default;
  };
  [[nodiscard]] const std::vector<Entry>& entries(Collective collective) const {
    return of_[static_cast<std::size_t>(collective)];
  }

 private:
  /// Room for more collectives than there are; what has no algorithms has one entry that says so.
  static constexpr std::size_t kMostCollectives = 32;
  std::array<std::vector<Entry>, kMostCollectives> of_;
};

}  // namespace paceline::collectives
