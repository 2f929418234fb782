#include "bootstrap/pmi1_wire.h"

#include <algorithm>

#include "base/number.h"
#include "base/wire.h"
#include "bootstrap/secret.h"

namespace paceline::bootstrap {

namespace {

/// A Store's value is at most 64 KiB; in hex digits and the shortest pieces this many.
constexpr std::size_t kMaxPieces = 2 * 64 * 1024 / 8;
/// "16384." and two digits: shorter pieces could hold nothing.
constexpr std::size_t kShortestPiece = 16;
/// As much of a foreign text as shows what it is.
constexpr std::size_t kQuoted = 80;

bool printable(char c) {
  return ' ' <= c && c <= '~';
}

std::optional<unsigned> digit_of(char c) {
  if ('0' <= c && c <= '9') return static_cast<unsigned>(c - '0');
  if ('a' <= c && c <= 'f') return static_cast<unsigned>(c - 'a') + 10U;
  return std::nullopt;
}

std::optional<std::string> bytes_of(std::string_view digits) {
  if (digits.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    const auto high = digit_of(digits[i]);
    const auto low = digit_of(digits[i + 1]);
    if (!high || !low) return std::nullopt;
    bytes += static_cast<char>(static_cast<unsigned char>(*high << 4U | *low));
  }
  return bytes;
}

}  // namespace

std::optional<PmiWords> pmi_words(std::string_view line) {
  PmiWords words;
  if (!std::all_of(line.begin(), line.end(), printable)) return std::nullopt;
  while (!line.empty()) {
    const std::string_view word = line.substr(0, line.find(' '));
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos || equals == 0) return std::nullopt;
    if (!words.try_emplace(std::string(word.substr(0, equals)), word.substr(equals + 1)).second) {
      return std::nullopt;
    }
    line.remove_prefix(std::min(word.size() + 1, line.size()));
  }
  if (words.empty()) return std::nullopt;
  return words;
}

std::optional<int> pmi_number(const PmiWords& words, std::string_view key) {
  const auto found = words.find(key);
  return found == words.end() ? std::nullopt : number_from<int>(found->second);
}

bool PmiLines::add(std::string_view bytes) {
  if (overlong_) return false;
  pending_ += bytes;
  const std::size_t last = pending_.rfind('\n');
  const std::size_t open = last == std::string::npos ? pending_.size() : pending_.size() - last - 1;
  overlong_ = open > kMaxPmiLine || std::min(pending_.find('\n'), pending_.size()) > kMaxPmiLine;
  return !overlong_;
}

std::optional<std::string> PmiLines::take() {
  const std::size_t end = pending_.find('\n');
  if (overlong_ || end == std::string::npos) return std::nullopt;
  std::string line = pending_.substr(0, end);
  pending_.erase(0, end + 1);
  return line;
}

std::vector<std::string> pmi_pieces(std::string_view value, std::size_t longest) {
  if (longest < kShortestPiece) {
    throw Error(ErrorCode::internal,
                "pieces of " + std::to_string(longest) + " bytes hold nothing");
  }
  const std::string digits = hex(std::as_bytes(std::span(value)));
  // The first piece loses the most that its prefix can take.
  const std::size_t prefix = std::to_string(kMaxPieces).size() + 1;
  std::vector<std::string> pieces = {digits.substr(0, longest - prefix)};
  for (std::size_t at = pieces[0].size(); at < digits.size(); at += longest) {
    pieces.push_back(digits.substr(at, longest));
  }
  if (pieces.size() > kMaxPieces) {
    throw Error(ErrorCode::invalid_argument, "a value of " + std::to_string(value.size()) +
                                                 " bytes is too long for a store; at most 64 KiB");
  }
  pieces[0].insert(0, std::to_string(pieces.size()) + ".");
  return pieces;
}

std::optional<std::size_t> pmi_piece_count(std::string_view first) {
  const std::size_t dot = first.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto count = number_from<std::size_t>(first.substr(0, dot));
  if (!count || *count == 0 || *count > kMaxPieces) return std::nullopt;
  return count;
}

std::optional<std::string> pmi_value(const std::vector<std::string>& pieces) {
  if (pieces.empty() || pmi_piece_count(pieces[0]) != pieces.size()) return std::nullopt;
  std::string digits = pieces[0].substr(pieces[0].find('.') + 1);
  for (std::size_t i = 1; i < pieces.size(); ++i) digits += pieces[i];
  return bytes_of(digits);
}

std::string pmi_quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text.substr(0, kQuoted)) quoted += printable(c) ? c : '?';
  return quoted + (text.size() > kQuoted ? "...\"" : "\"");
}

}  // namespace paceline::bootstrap
