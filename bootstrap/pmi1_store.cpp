#include "bootstrap/pmi1_store.h"

#include "bootstrap/secret.h"

namespace paceline::bootstrap {

namespace {

/// A key is "pl-ROUND-DIGEST-PIECE"; the digest shows that all mean the same communicator, for
/// which 48 bits are plenty, and the whole fits into 31 bytes.
constexpr std::size_t kDigest = 12;

std::string name_of(int round, const std::string& key, std::size_t piece) {
  return "pl-" + std::to_string(round) + "-" +
         hex(hmac("", std::as_bytes(std::span(key)))).substr(0, kDigest) + "-" +
         std::to_string(piece);
}

}  // namespace

void Pmi1Store::set(const std::string& key, const std::string& value) {
  const Nanoseconds deadline = steady_now() + std::chrono::nanoseconds(timeout_).count();
  const int round = channel_.next_round();
  const std::vector<std::string> pieces = pmi_pieces(value, channel_.longest_value());
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    channel_.put(name_of(round, key, i), pieces[i], deadline);
  }
  channel_.barrier(deadline);
}

std::string Pmi1Store::get(const std::string& key, std::chrono::milliseconds timeout) {
  const Nanoseconds deadline = steady_now() + std::chrono::nanoseconds(timeout).count();
  const int round = channel_.next_round();
  channel_.barrier(deadline);
  std::vector<std::string> pieces = {channel_.get(name_of(round, key, 0), deadline)};
  const std::size_t count = pmi_piece_count(pieces[0]).value_or(1);
  while (pieces.size() < count) {
    pieces.push_back(channel_.get(name_of(round, key, pieces.size()), deadline));
  }
  std::optional<std::string> value = pmi_value(pieces);
  if (!value) {
    throw Error(ErrorCode::bootstrap_failed,
                "what the launcher's channel holds under " + name_of(round, key, 0) + " is " +
                    pmi_quoted(pieces[0]) +
                    ", which was not written by rank 0 of this job; set PACELINE_ROOT=host:port");
  }
  return *std::move(value);
}

}  // namespace paceline::bootstrap
