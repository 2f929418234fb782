#include "collectives/choice.h"

#include <algorithm>
#include <set>

#include "collectives/schedule.h"

namespace paceline::collectives {

namespace {

/// What was measured to be good on shared memory and TCP: segments that stay in a core's second
/// cache, and a second lane that moves data while the first one reduces.
constexpr Choice kUsual = {};

/// The others that are tried: for wires on which a message costs more, or less, than there. Not
/// more, since scratch grows with both.
constexpr std::uint32_t kSegments[] = {32 * 1024, 512 * 1024};
constexpr std::int32_t kLanes[] = {1, 4};

/// They are taken only if the model promises this much. It does not know caches, and is no better
/// than that about the rest.
constexpr double kWorthIt = 0.9;

/// Algorithms whose predictions differ by less are alike: that which schedule.cpp lists first is
/// taken. Between few ranks several do the very same thing, and rounding should not decide.
constexpr double kAlike = 1.02;

constexpr std::uint64_t kEverything = std::numeric_limits<std::uint64_t>::max();

/// Sizes at which the choice is worked out; between two that differ, the border is searched for.
/// Above the last, a power of two, nothing changes any more.
constexpr int kLargestPower = 32;

double predicted(Collective collective, const Choice& choice, std::uint64_t bytes,
                 const Policy& policy) {
  return predicted_ns(collective, choice.algorithm, policy.layout, bytes, policy.cut(choice),
                      policy.parameters);
}

/// What is given, and of what is not, the best.
Candidate best_cut(Collective collective, Algorithm algorithm, std::uint64_t bytes,
                   std::optional<std::uint32_t> segment, std::optional<std::int32_t> lanes,
                   const Policy& policy) {
  Candidate usual{
      {algorithm, segment.value_or(kUsual.segment_bytes), lanes.value_or(kUsual.lanes)}};
  usual.predicted_ns = predicted(collective, usual.choice, bytes, policy);
  Candidate best = usual;
  const auto consider = [&](Choice choice) {
    const double time = predicted(collective, choice, bytes, policy);
    if (time < best.predicted_ns) best = {choice, time};
  };
  for (const std::uint32_t other_segment : kSegments) {
    if (segment) break;
    consider({algorithm, other_segment, usual.choice.lanes});
    for (const std::int32_t other_lanes : kLanes) {
      if (!lanes) consider({algorithm, other_segment, other_lanes});
    }
  }
  for (const std::int32_t other_lanes : kLanes) {
    if (!lanes) consider({algorithm, usual.choice.segment_bytes, other_lanes});
  }
  return best.predicted_ns < kWorthIt * usual.predicted_ns ? best : usual;
}

/// To calls of some size.
bool applies(const Rule& rule, Collective collective, const Layout& layout) {
  return rule.collective == collective && rule.ranks.holds(layout.ranks) &&
         rule.hosts.holds(layout.hosts);
}

/// The configuration's, then the rule's.
template <class T, class Given>
std::optional<T> fixed(Given configured, Given open, const std::optional<T>& ruled) {
  if (configured != open) return static_cast<T>(configured);
  return ruled;
}

std::vector<Candidate> ranked(Collective collective, std::uint64_t bytes, const Policy& policy,
                              const Rule& rule) {
  const auto segment =
      fixed<std::uint32_t>(policy.segment_bytes, std::size_t{0}, rule.segment_bytes);
  const auto lanes = fixed<std::int32_t>(policy.lanes, 0, rule.lanes);
  std::vector<Candidate> all;
  for (const Algorithm algorithm : algorithms_of(collective)) {
    all.push_back(best_cut(collective, algorithm, bytes, segment, lanes, policy));
  }
  std::stable_sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
    return a.predicted_ns < b.predicted_ns;
  });
  // To the front the first of those that are as good as the best.
  const double best = all.front().predicted_ns;
  for (const Algorithm algorithm : algorithms_of(collective)) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const Candidate& one) {
      return one.choice.algorithm == algorithm && one.predicted_ns <= kAlike * best;
    });
    if (found == all.end()) continue;
    std::rotate(all.begin(), found, found + 1);
    break;
  }
  return all;
}

}  // namespace

const Rule* matching_rule(Collective collective, std::uint64_t bytes, const Policy& policy) {
  for (const Rule& rule : policy.rules) {
    if (applies(rule, collective, policy.layout) && rule.bytes.holds(bytes)) return &rule;
  }
  return nullptr;
}

std::vector<Candidate> candidates(Collective collective, std::uint64_t bytes,
                                  const Policy& policy) {
  const Rule* rule = matching_rule(collective, bytes, policy);
  return ranked(collective, bytes, policy, rule == nullptr ? Rule{} : *rule);
}

Candidate decide(Collective collective, std::uint64_t bytes, const Policy& policy) {
  const Rule* rule = matching_rule(collective, bytes, policy);
  const std::vector<Candidate> all =
      ranked(collective, bytes, policy, rule == nullptr ? Rule{} : *rule);
  const std::optional<Algorithm> none;
  for (const std::optional<Algorithm>& wished :
       {std::optional(policy.algorithm), rule == nullptr ? none : rule->algorithm}) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const Candidate& candidate) {
      return candidate.choice.algorithm == wished;
    });
    if (found != all.end()) return *found;
  }
  return all.front();
}

namespace {

/// The sizes at which `decide` is asked: powers of two, halfway between them, and where rules begin
/// and end.
std::set<std::uint64_t> samples(Collective collective, const Policy& policy) {
  std::set<std::uint64_t> sizes = {0};
  for (int power = 0; power <= kLargestPower; ++power) {
    sizes.insert(std::uint64_t{1} << power);
    sizes.insert((std::uint64_t{3} << power) / 2);
  }
  for (const Rule& rule : policy.rules) {
    if (!applies(rule, collective, policy.layout)) continue;
    sizes.insert(rule.bytes.first);
    if (rule.bytes.first > 0) sizes.insert(rule.bytes.first - 1);
    sizes.insert(rule.bytes.last);
    if (rule.bytes.last < kEverything) sizes.insert(rule.bytes.last + 1);
  }
  return sizes;
}

/// The last size in [low, high) at which `left` is still as good as `right`: by halving, since one
/// overtakes the other. Where a rule begins or ends, high is low + 1.
std::uint64_t border(Collective collective, std::uint64_t low, std::uint64_t high,
                     const Choice& left, const Choice& right, const Policy& policy) {
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    const bool still =
        predicted(collective, left, middle, policy) <= predicted(collective, right, middle, policy);
    (still ? low : high) = middle;
  }
  return low;
}

std::vector<Choices::Entry> table(Collective collective, const Policy& policy) {
  std::vector<Choices::Entry> entries;
  std::optional<std::uint64_t> before;
  for (const std::uint64_t bytes : samples(collective, policy)) {
    const Choice choice = decide(collective, bytes, policy).choice;
    if (before && entries.back().choice != choice) {
      entries.back().last =
          border(collective, *before, bytes, entries.back().choice, choice, policy);
    }
    if (!before || entries.back().choice != choice) entries.push_back({bytes, choice});
    before = bytes;
  }
  entries.back().last = kEverything;
  return entries;
}

}  // namespace

Choices::Choices(const Policy& policy) {
  for (std::size_t c = 0; c < of_.size(); ++c) {
    const auto collective = static_cast<Collective>(c);
    of_[c] = algorithms_of(collective).empty() ? std::vector<Entry>{{kEverything, {}}}
                                               : table(collective, policy);
  }
}

}  // namespace paceline::collectives
