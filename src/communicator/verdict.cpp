#include "communicator/verdict.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <utility>

namespace paceline {

namespace {

/// More names than this are not read by anybody; the numbers are given for all.
constexpr std::size_t kMaxNames = 3;
/// Links of a chain that are spelled out.
constexpr std::size_t kMaxChain = 6;

std::string call_number(std::uint64_t sequence, const engine::Call& call) {
  return "call #" + std::to_string(sequence) + ", " + call.text();
}

std::string names(const Hang& hang, const std::vector<int>& ranks) {
  if (ranks.size() > kMaxNames) return rank_list(ranks);
  std::string text;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (i > 0) text += i + 1 == ranks.size() ? " and " : ", ";
    text += hang.name(ranks[i]);
  }
  return text;
}

const char* has(const std::vector<int>& ranks) {
  return ranks.size() == 1 ? " has" : " have";
}

template <class Predicate>
std::vector<int> those(const Hang& hang, Predicate predicate) {
  std::vector<int> result;
  for (std::size_t r = 0; r < hang.ranks.size(); ++r) {
    if (predicate(hang.ranks[r])) result.push_back(static_cast<int>(r));
  }
  return result;
}

std::vector<int> waiting_in(const Hang& hang) {
  return those(hang, [&](const std::optional<Testimony>& t) {
    return t && t->inside() && t->at() == hang.sequence;
  });
}

std::string the_wait(const Hang& hang) {
  const std::vector<int> waiting = waiting_in(hang);
  const std::string who =
      waiting.empty() ? "rank " + std::to_string(hang.asker) : rank_list(waiting);
  return call_number(hang.sequence, hang.call) + ", in which " + who +
         (waiting.size() > 1 ? " wait" : " waits") + " (rank " + std::to_string(hang.asker) +
         " for " + duration_text(hang.waited) + ")";
}

// --- 1: different calls
std::optional<Verdict> find_difference(const Hang& hang) {
  // By number, then by what was called: who.
  std::map<std::uint64_t, std::vector<std::pair<engine::Call, std::vector<int>>>> calls;
  for (std::size_t r = 0; r < hang.ranks.size(); ++r) {
    if (!hang.ranks[r]) continue;
    for (const auto& [sequence, call] : hang.ranks[r]->calls) {
      auto& groups = calls[sequence];
      auto group = std::find_if(groups.begin(), groups.end(),
                                [&c = call](const auto& g) { return g.first == c; });
      if (group == groups.end()) group = groups.insert(groups.end(), {call, {}});
      group->second.push_back(static_cast<int>(r));
    }
  }
  for (auto& [sequence, groups] : calls) {
    if (groups.size() < 2) continue;
    // Most are right; of equally many, those with the lowest rank.
    std::stable_sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) {
      return a.second.size() > b.second.size();
    });
    const auto& [usual, many] = groups.front();
    const auto& [odd, few] = groups[1];
    return Verdict{ErrorCode::mismatch, few.front(),
                   names(hang, few) + " called " + told_apart(odd, usual) + " as call #" +
                       std::to_string(sequence) + " where " + rank_list(many) + " called " +
                       told_apart(usual, odd) +
                       ": all ranks must make the same calls in the same order"};
  }
  return std::nullopt;
}

// --- 2: gone in an orderly way
std::optional<Verdict> find_departed(const Hang& hang) {
  std::set<int> departed;
  for (const auto& testimony : hang.ranks) {
    if (testimony) departed.insert(testimony->departed.begin(), testimony->departed.end());
  }
  if (departed.empty()) return std::nullopt;
  const std::vector<int> list(departed.begin(), departed.end());
  return Verdict{ErrorCode::peer_failed, list.front(),
                 names(hang, list) + has(list) + " left the communicator; " + the_wait(hang) +
                     ", cannot finish without " + (list.size() == 1 ? "it" : "them")};
}

// --- 3: no answer
std::optional<Verdict> find_silent(const Hang& hang) {
  const std::vector<int> silent =
      those(hang, [](const std::optional<Testimony>& t) { return !t.has_value(); });
  if (silent.empty()) return std::nullopt;
  return Verdict{ErrorCode::timeout, silent.front(),
                 names(hang, silent) + (silent.size() == 1 ? " does" : " do") +
                     " not answer (stopped, or cut off from the others) during " + the_wait(hang)};
}

// --- 4: outside
std::optional<Verdict> find_absent(const Hang& hang) {
  const std::vector<int> absent = those(hang, [&](const std::optional<Testimony>& t) {
    return t && !t->inside() && t->at() <= hang.sequence;
  });
  if (absent.empty()) return std::nullopt;
  const Testimony& first = *hang.ranks[static_cast<std::size_t>(absent.front())];
  std::string text = names(hang, absent) + has(absent) + " not made " + the_wait(hang) + "; ";
  text += absent.size() == 1 ? "it" : "rank " + std::to_string(absent.front());
  if (!first.message.empty()) {
    return Verdict{
        ErrorCode::timeout, absent.front(),
        text + " has waited for " + duration_text(first.message_waited) + " in " + first.message};
  }
  if (first.finished == 0) {
    text += " has made no call yet";
  } else {
    text += " has finished call #" + std::to_string(first.finished - 1);
    const auto last = first.calls.find(first.finished - 1);
    if (last != first.calls.end()) text += ", " + last->second.text() + ",";
    text += " and made none since";
  }
  if (first.quiet_for > 0) text += " for at least " + duration_text(first.quiet_for);
  return Verdict{ErrorCode::timeout, absent.front(),
                 text + "; raise PACELINE_TIMEOUT if ranks are rightly that far apart"};
}

// --- 5: a chain
std::string link_text(int rank, const Testimony& t) {
  std::string text = "rank " + std::to_string(rank);
  if (!t.inside()) {
    return text + " has finished call #" + std::to_string(t.finished - 1);
  }
  text += t.stand.since == 0 ? " moves" : " waits for rank " + std::to_string(t.stand.waiting_for);
  if (t.stand.since != 0 && !t.wire.empty()) text += " over " + t.wire;
  switch (t.stand.phase) {
    case engine::Phase::linking:
      return text + " to make a link";
    case engine::Phase::announcing:
      return text + " to take a message";
    case engine::Phase::flushing:
      return text + " to take its data";
    case engine::Phase::running:
    case engine::Phase::done:
    case engine::Phase::failed:
      break;
  }
  if (t.stand.steps > 0) {
    text += " at step " + std::to_string(t.stand.step) + " of " + std::to_string(t.stand.steps);
  }
  return text;
}

Verdict follow_chain(const Hang& hang) {
  // Who is furthest behind has the cause.
  int rank = hang.asker;
  for (std::size_t r = 0; r < hang.ranks.size(); ++r) {
    const Testimony& t = *hang.ranks[r];
    if (t.inside() && t.at() < hang.ranks[static_cast<std::size_t>(rank)]->at()) {
      rank = static_cast<int>(r);
    }
  }
  std::vector<int> chain;
  std::string end;
  for (;;) {
    chain.push_back(rank);
    const Testimony& t = *hang.ranks[static_cast<std::size_t>(rank)];
    if (!t.inside()) {
      end = "what it sent has not arrived";
      break;
    }
    if (t.stand.since == 0) {
      end = "it is slow, or all are on their way again";
      break;
    }
    rank = t.stand.waiting_for;
    if (rank < 0 || rank >= static_cast<int>(hang.ranks.size())) {
      rank = chain.back();
      end = "nobody knows for what";
      break;
    }
    if (std::find(chain.begin(), chain.end(), rank) != chain.end()) {
      end = "what they sent each other has not arrived";
      break;
    }
  }
  std::string text = call_number(hang.sequence, hang.call) + " does not go on (rank " +
                     std::to_string(hang.asker) + " has waited for " + duration_text(hang.waited) +
                     "): ";
  for (std::size_t i = 0; i < chain.size(); ++i) {
    if (i == kMaxChain / 2 && chain.size() > kMaxChain) {
      i = chain.size() - kMaxChain / 2;
      text += ", ...";
    }
    if (i > 0) text += ", ";
    text += link_text(chain[i], *hang.ranks[static_cast<std::size_t>(chain[i])]);
  }
  return {ErrorCode::timeout, rank, text + ": " + end};
}

}  // namespace

std::string rank_list(const std::vector<int>& ranks) {
  if (ranks.size() == 1) return "rank " + std::to_string(ranks.front());
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < ranks.size();) {
    std::size_t end = i + 1;
    while (end < ranks.size() && ranks[end] == ranks[end - 1] + 1) ++end;
    std::string part = std::to_string(ranks[i]);
    if (end - i == 2) {  // two are not a range
      parts.push_back(part);
      part = std::to_string(ranks[i + 1]);
    } else if (end - i > 2) {
      part += "-" + std::to_string(ranks[end - 1]);
    }
    parts.push_back(part);
    i = end;
  }
  std::string text = "ranks ";
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += i + 1 == parts.size() ? " and " : ", ";
    text += parts[i];
  }
  return text;
}

std::string progress_text(const std::vector<std::optional<Testimony>>& ranks) {
  std::map<std::string, std::vector<int>> groups;  // by what is said of them
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    std::string what = "not known to be anywhere";
    if (const auto& t = ranks[r]) {
      const std::string number = "call #" + std::to_string(t->inside() ? t->at() : t->finished - 1);
      what = t->inside() ? "in " + number : "done with " + number;
      if (!t->inside() && t->finished == 0) what = "before call #0";
    }
    groups[what].push_back(static_cast<int>(r));
  }
  std::string text;
  for (const auto& [what, who] : groups) {
    text +=
        (text.empty() ? "" : "; ") + rank_list(who) + (who.size() == 1 ? " is " : " are ") + what;
  }
  return text;
}

std::string duration_text(Nanoseconds time) {
  char text[32];
  if (time < kSecond) {
    std::snprintf(text, sizeof text, "%lld ms", static_cast<long long>(time / kMillisecond));
  } else if (time < 10 * kSecond) {
    std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(time) / 1e9);
  } else {
    std::snprintf(text, sizeof text, "%lld s", static_cast<long long>(time / kSecond));
  }
  return text;
}

Verdict judge(const Hang& hang) {
  if (auto verdict = find_difference(hang)) return *std::move(verdict);
  if (auto verdict = find_departed(hang)) return *std::move(verdict);
  if (auto verdict = find_silent(hang)) return *std::move(verdict);
  if (auto verdict = find_absent(hang)) return *std::move(verdict);
  return follow_chain(hang);
}

std::optional<Verdict> judge_broken_wire(const Hang& hang) {
  if (auto verdict = find_difference(hang)) return verdict;
  return find_departed(hang);
}

}  // namespace paceline
