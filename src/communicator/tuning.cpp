// Reads the lines of a tuning file. Each is a list of words: what it is about, then names, each
// with a value.
#include "communicator/tuning.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <optional>

#include "base/number.h"
#include "base/suggest.h"
#include "collectives/schedule.h"
#include "paceline/error.h"

namespace paceline {

using collectives::CostParameters;
using collectives::LinkCost;
using collectives::Range;
using collectives::Rule;

namespace {

/// More than a table of a rule per collective, size and number of ranks of any machine; and a
/// communicator looks at all of them for each size of its table.
constexpr std::size_t kMostRules = 1024;

/// A second for a message, or for a byte: slower than any link, and far from overflow.
constexpr double kMostNanoseconds = 1e9;

struct LinkField {
  std::string_view name;
  double LinkCost::*field;
};
constexpr LinkField kLinkFields[] = {{"eager", &LinkCost::eager}, {"alpha", &LinkCost::alpha},
                                     {"post", &LinkCost::post},   {"beta", &LinkCost::beta},
                                     {"port", &LinkCost::port},   {"cpu", &LinkCost::cpu}};

struct MachineField {
  std::string_view name;
  double CostParameters::*field;
};
constexpr MachineField kMachineFields[] = {{"host", &CostParameters::host},
                                           {"mapped", &CostParameters::mapped},
                                           {"gamma", &CostParameters::gamma}};

using Words = std::vector<std::string_view>;

Words words_of(std::string_view line) {
  Words words;
  line = line.substr(0, line.find('#'));
  while (true) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    words.push_back(line.substr(0, line.find_first_of(" \t\r")));
    line.remove_prefix(words.back().size());
  }
}

std::string quoted(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

/// One line that is being read.
class Line {
 public:
  Line(const std::string& path, int number, const Words& words)
      : path_(path), number_(number), words_(words) {}

  [[nodiscard]] bool more() const { return next_ < words_.size(); }
  [[nodiscard]] int number() const { return number_; }

  std::string_view take(const std::string& allowed) {
    if (!more()) refuse("the line ends where a word is missing", allowed);
    return words_[next_++];
  }
  /// What `read` makes of the next word.
  template <class Read>
  auto value(std::string_view name, Read read, const std::string& allowed) {
    const std::string_view word = take(allowed);
    const auto value = read(word);
    if (!value) refuse(std::string(name) + " is " + quoted(word), allowed);
    return *value;
  }

  [[noreturn]] void refuse(const std::string& what, const std::string& allowed) const {
    throw Error(ErrorCode::invalid_configuration, "tuning file " + path_ + ":" +
                                                      std::to_string(number_) + ": " + what +
                                                      "; allowed: " + allowed);
  }
  [[noreturn]] void refuse_word(std::string_view word, const std::vector<std::string_view>& known,
                                const std::string& allowed) const {
    refuse(quoted(word) + " is unknown, did you mean " + quoted(nearest(word, known)) + "?",
           allowed);
  }

 private:
  const std::string& path_;
  int number_;
  const Words& words_;
  std::size_t next_ = 1;
};

std::optional<double> nanoseconds_from(std::string_view word) {
  const auto value = number_from<double>(word);
  if (!value || !(*value >= 0) || !(*value <= kMostNanoseconds)) return std::nullopt;
  return value;
}

std::optional<double> share_from(std::string_view word) {
  const auto value = nanoseconds_from(word);
  return value && *value <= 1 ? value : std::nullopt;
}

/// "8", "8..16", "8..", "..16".
template <class T, class One>
std::optional<Range<T>> range_from(std::string_view word, One one) {
  Range<T> range;
  const std::size_t dots = word.find("..");
  const std::string_view first = word.substr(0, dots);
  const std::string_view last = dots == std::string_view::npos ? first : word.substr(dots + 2);
  if (first.empty() && last.empty()) return std::nullopt;
  const auto read = [&one](std::string_view text, T& value) {
    if (text.empty()) return true;
    const auto number = one(text);
    if (number) value = static_cast<T>(*number);
    return number.has_value();
  };
  if (!read(first, range.first) || !read(last, range.last)) return std::nullopt;
  if (range.first > range.last) return std::nullopt;
  return range;
}

std::optional<int> count_from(std::string_view word) {
  const auto value = number_from<int>(word);
  return value && *value >= 1 ? value : std::nullopt;
}

std::optional<std::uint32_t> segment_from(std::string_view word) {
  // The limits of PACELINE_SEGMENT_BYTES.
  constexpr std::uint64_t kLeast = 4096;
  constexpr std::uint64_t kMost = 16 << 20;
  constexpr std::uint64_t kMultiple = 64;
  const auto size = size_from(word);
  if (!size || *size < kLeast || *size > kMost || *size % kMultiple != 0) return std::nullopt;
  return static_cast<std::uint32_t>(*size);
}

std::optional<std::int32_t> lanes_from(std::string_view word) {
  constexpr int kMost = 8;  // that of PACELINE_LANES
  const auto value = count_from(word);
  return value && *value <= kMost ? value : std::nullopt;
}

std::string offered_by(Collective collective) {
  std::string names;
  for (const Algorithm algorithm : collectives::algorithms_of(collective)) {
    names += (names.empty() ? "" : ", ") + std::string(to_string(algorithm));
  }
  return names;
}

// rule COLLECTIVE [bytes A..B] [ranks A..B] [hosts A..B] [algorithm NAME] [segment SIZE] [lanes N]
Rule read_rule(Line& line) {
  Rule rule;
  rule.line = line.number();
  rule.collective =
      line.value("the collective", collective_from, "all_reduce, broadcast and so on");
  const std::string counts = "a number from 1 on, or first..last, first.. or ..last";
  while (line.more()) {
    const std::string all = "bytes, ranks, hosts, algorithm, segment, lanes";
    const std::string_view name = line.take(all);
    if (name == "bytes") {
      rule.bytes = line.value(
          name, [](std::string_view word) { return range_from<std::uint64_t>(word, size_from); },
          "bytes of a block, or with K, M or G, as one size, or first..last, first.. or ..last");
    } else if (name == "ranks" || name == "hosts") {
      (name == "ranks" ? rule.ranks : rule.hosts) = line.value(
          name, [](std::string_view word) { return range_from<int>(word, count_from); }, counts);
    } else if (name == "algorithm") {
      const auto offered = [&rule](std::string_view word) -> std::optional<Algorithm> {
        const auto algorithm = algorithm_from(word);
        return algorithm && collectives::offers(rule.collective, *algorithm) ? algorithm
                                                                             : std::nullopt;
      };
      rule.algorithm = line.value(name, offered, offered_by(rule.collective));
    } else if (name == "segment") {
      rule.segment_bytes = line.value(name, segment_from, "4K..16M, a multiple of 64");
    } else if (name == "lanes") {
      rule.lanes = line.value(name, lanes_from, "1..8");
    } else {
      line.refuse_word(name, {"bytes", "ranks", "hosts", "algorithm", "segment", "lanes"}, all);
    }
  }
  if (!rule.algorithm && !rule.segment_bytes && !rule.lanes) {
    line.refuse("the rule says nothing of what to do",
                "rules that name an algorithm, a segment, or lanes");
  }
  return rule;
}

// inside|between NAME NUMBER ...
void read_link(Line& line, TuningSetting::Where where, Tuning& tuning) {
  std::string all;
  std::vector<std::string_view> names;
  for (const LinkField& one : kLinkFields) {
    names.push_back(one.name);
    all += (all.empty() ? "" : ", ") + std::string(one.name);
  }
  do {
    const std::string_view name = line.take(all);
    const auto* const field = std::find_if(std::begin(kLinkFields), std::end(kLinkFields),
                                           [&](const LinkField& one) { return one.name == name; });
    if (field == std::end(kLinkFields)) line.refuse_word(name, names, all);
    const double value = name == "cpu" ? line.value(name, share_from, "0..1")
                                       : line.value(name, nanoseconds_from, "0..1e9 (nanoseconds)");
    tuning.settings.push_back({.where = where, .link = field->field, .value = value});
  } while (line.more());
}

void read_line(Line& line, std::string_view head, Tuning& tuning) {
  if (head == "rule") {
    tuning.rules.push_back(read_rule(line));
    if (tuning.rules.size() > kMostRules) {
      line.refuse("there are too many rules", std::to_string(kMostRules));
    }
    return;
  }
  if (head == "inside") return read_link(line, TuningSetting::Where::inside, tuning);
  if (head == "between") return read_link(line, TuningSetting::Where::between, tuning);
  for (const MachineField& one : kMachineFields) {
    if (one.name != head) continue;
    const double value = line.value(head, nanoseconds_from, "0..1e9 (nanoseconds per byte)");
    tuning.settings.push_back({.machine = one.field, .value = value});
    if (line.more()) line.refuse("the line goes on behind its value", "one number");
    return;
  }
  line.refuse_word(head, {"inside", "between", "host", "mapped", "gamma", "rule"},
                   "inside, between, host, mapped, gamma, rule, and comments after #");
}

}  // namespace

std::optional<std::uint64_t> size_from(std::string_view text) {
  int shift = 0;
  if (!text.empty()) {
    const std::size_t unit = std::string_view("KMG").find(static_cast<char>(text.back() & ~0x20));
    if (unit != std::string_view::npos) {
      shift = 10 * (static_cast<int>(unit) + 1);
      text.remove_suffix(1);
    }
  }
  const auto value = number_from<std::uint64_t>(text);
  if (!value || *value << shift >> shift != *value) return std::nullopt;
  return *value << shift;
}

CostParameters Tuning::applied_to(CostParameters parameters) const {
  for (const TuningSetting& setting : settings) {
    switch (setting.where) {
      case TuningSetting::Where::inside:
        parameters.inside.*setting.link = setting.value;
        break;
      case TuningSetting::Where::between:
        parameters.between.*setting.link = setting.value;
        break;
      case TuningSetting::Where::machine:
        parameters.*setting.machine = setting.value;
        break;
    }
  }
  return parameters;
}

Tuning tuning_from(const TuningText& text) {
  if (!text.trouble.empty()) throw Error(ErrorCode::invalid_configuration, text.trouble);
  Tuning tuning;
  std::string_view rest = text.text;
  for (int number = 1; !rest.empty(); ++number) {
    const std::size_t end = rest.find('\n');
    const Words words = words_of(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (words.empty()) continue;
    Line line(text.path, number, words);
    read_line(line, words.front(), tuning);
  }
  return tuning;
}

TuningText read_tuning(const std::string& path) {
  TuningText text{.path = path};
  if (path.empty()) return text;
  std::string content(TuningText::kMost + 1, '\0');
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (file) file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (!file.is_open() || file.bad()) {
    text.trouble = "PACELINE_TUNING of rank 0 is " + quoted(path) +
                   ", which cannot be read: " + std::strerror(errno);
    return text;
  }
  content.resize(static_cast<std::size_t>(file.gcount()));
  if (content.size() > TuningText::kMost) {
    text.trouble = "PACELINE_TUNING of rank 0 is " + quoted(path) + ", which is longer than " +
                   std::to_string(TuningText::kMost) + " bytes, all that is allowed";
    return text;
  }
  text.text = std::move(content);
  return text;
}

}  // namespace paceline
