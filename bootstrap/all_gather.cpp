#include "bootstrap/all_gather.h"

#include <utility>

#include "bootstrap/graph.h"

namespace paceline::bootstrap {

AllGather::AllGather(int rank, int size, Events events)
    : rank_(rank), size_(size), events_(std::move(events)) {}

void AllGather::begin(Bytes mine) {
  gatherings_[sequence_].blocks[static_cast<std::uint32_t>(rank_)] = std::move(mine);
  round_ = 0;
  active_ = true;
  if (rounds(size_) > 0) send_round();
  advance();
}

void AllGather::send_round() {
  const Gathering& gathering = gatherings_[sequence_];
  const int target = sends_to(rank_, round_, size_);
  Bytes frame;
  for (int i = 0; i < blocks_in(round_, size_); ++i) {
    const auto owner = static_cast<std::uint32_t>(rank_after(rank_, i, size_));
    const Bytes block =
        Block{sequence_, static_cast<std::uint32_t>(round_), owner, gathering.blocks.at(owner)}
            .encode();
    if (frame.size() + block.size() > kMaxPayload) {
      events_.send(target, frame);
      frame.clear();
    }
    frame.insert(frame.end(), block.begin(), block.end());
  }
  events_.send(target, frame);
}

bool AllGather::on_blocks(int peer, ConstBytes payload) {
  WireReader in(payload);
  do {
    const std::optional<Block> block = Block::decode(in);
    if (!block || !take(peer, *block)) return false;
  } while (!in.rest().empty());
  if (active_) advance();
  return true;
}

bool AllGather::take(int peer, const Block& block) {
  if (block.round >= static_cast<std::uint32_t>(rounds(size_))) return false;
  const auto round = static_cast<int>(block.round);
  // A peer can be one all_gather ahead of us, not more: its next one needs our block of this one.
  const bool timely = block.sequence == sequence_ || block.sequence == sequence_ + 1;
  if (!timely || receives_from(rank_, round, size_) != peer) return false;
  const int distance =
      rank_before(static_cast<int>(block.owner % static_cast<std::uint32_t>(size_)), peer, size_);
  if (block.owner >= static_cast<std::uint32_t>(size_) || distance >= blocks_in(round, size_)) {
    return false;
  }
  Gathering& gathering = gatherings_[block.sequence];
  if (!gathering.blocks.try_emplace(block.owner, block.bytes.begin(), block.bytes.end()).second) {
    return false;
  }
  ++gathering.arrived_in_round[block.round];
  return true;
}

void AllGather::on_left() {
  if (active_) advance();
}

std::optional<AllGather::Waiting> AllGather::waiting() const {
  if (!active_ || round_ >= rounds(size_)) return std::nullopt;
  return Waiting{receives_from(rank_, round_, size_), round_};
}

void AllGather::advance() {
  while (round_ < rounds(size_)) {
    const int arrived = gatherings_[sequence_].arrived_in_round[static_cast<std::uint32_t>(round_)];
    if (arrived < blocks_in(round_, size_)) {
      const int peer = receives_from(rank_, round_, size_);
      if (events_.has_left(peer)) events_.hopeless(peer);
      return;
    }
    ++rounds_taken_;
    if (++round_ < rounds(size_)) send_round();
  }
  active_ = false;
  std::vector<Bytes> result;
  for (auto& [owner, bytes] : gatherings_[sequence_].blocks) result.push_back(std::move(bytes));
  gatherings_.erase(sequence_++);
  events_.done(std::move(result));
}

}  // namespace paceline::bootstrap
