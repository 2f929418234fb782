// Who is to blame for a send or recv that does not end: the peer has left, does not answer, or is
// busy with something else; then whom that one waits for, and so on.
#include <algorithm>

#include "communicator/verdict.h"

namespace paceline {

namespace {

/// Links of the chain that are spelled out; what is longer is a ring of ranks, told well enough by
/// its beginning.
constexpr std::size_t kMaxChain = 6;

struct Doing {
  std::string text;
  int waits_for = Error::kNoRank;
};

// What a rank is doing, the send or recv first: a collective may be under way beside it.
Doing doing(int rank, const Testimony& t) {
  const std::string who = "rank " + std::to_string(rank);
  if (!t.message.empty()) {
    return {who + " has waited for " + duration_text(t.message_waited) + " in " + t.message,
            t.message_peer};
  }
  if (!t.inside()) {
    return {
        who + " is in no call" +
        (t.quiet_for > 0 ? ", and has made none for at least " + duration_text(t.quiet_for) : "")};
  }
  const auto call = t.calls.find(t.at());
  const std::string where =
      "call #" + std::to_string(t.at()) + (call == t.calls.end() ? "" : ", " + call->second.text());
  if (t.stand.since == 0) return {who + " is in " + where};
  return {who + " waits in " + where + ", for rank " + std::to_string(t.stand.waiting_for),
          t.stand.waiting_for};
}

}  // namespace

Verdict judge_message(const MessageHang& hang) {
  const int peer = hang.call.peer;
  const std::string mine = hang.call.text() + " on rank " + std::to_string(hang.asker);
  const bool left = std::any_of(hang.ranks.begin(), hang.ranks.end(), [&](const auto& t) {
    return t && std::find(t->departed.begin(), t->departed.end(), peer) != t->departed.end();
  });
  if (left) {
    return {ErrorCode::peer_failed, peer,
            hang.name(peer) + " has left the communicator; " + mine + " cannot finish without it"};
  }
  std::string text =
      mine + " has waited for " + duration_text(hang.waited) + " for " + hang.awaited;
  std::vector<int> chain = {hang.asker};
  int rank = peer;
  const auto known = [&](int r) {
    return r >= 0 && r < static_cast<int>(hang.ranks.size()) &&
           std::find(chain.begin(), chain.end(), r) == chain.end();
  };
  while (known(rank) && chain.size() <= kMaxChain) {
    chain.push_back(rank);
    const auto& t = hang.ranks[static_cast<std::size_t>(rank)];
    if (!t) {
      text += "; " + hang.name(rank) + " does not answer (stopped, or cut off from the others)";
      break;
    }
    const Doing what = doing(rank, *t);
    text += "; " + what.text;
    rank = what.waits_for;
  }
  text += "; raise PACELINE_TIMEOUT if ranks are rightly that far apart";
  return {ErrorCode::timeout, chain.back() == hang.asker ? peer : chain.back(), text};
}

}  // namespace paceline
