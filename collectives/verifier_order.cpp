#include "collectives/verifier_order.h"

#include <algorithm>

namespace paceline::collectives::verifier {

Order::Order(int size)
    : blocks_(index(size) / kBlock + 1), now_(index(size), 0), flushes_(index(size)) {
  for (int rank = 0; rank < size; ++rank) clock_.push_back(fresh_clock());
}

Order::Block Order::latest(const Block& a, const Block& b) {
  Block joined;
  for (std::size_t i = 0; i < kBlock; ++i) joined[i] = std::max(a[i], b[i]);
  return joined;
}

std::uint32_t Order::fresh_clock() {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(clocks_.size()));
    clocks_.emplace_back().blocks.resize(blocks_);
  }
  const std::uint32_t clock = free_.back();
  free_.pop_back();
  clocks_[clock].uses = 1;
  return clock;
}

void Order::release(std::uint32_t clock) {
  if (--clocks_[clock].uses == 0) free_.push_back(clock);
}

std::uint32_t Order::post(int from, int to, bool fetched) {
  const std::uint32_t clock = clock_[index(from)];
  ++clocks_[clock].uses;
  transfers_.push_back({from, now(from), to, 0, fetched});
  carried_.push_back(clock);
  return static_cast<std::uint32_t>(transfers_.size() - 1);
}

void Order::receive(std::uint32_t number) {
  Transfer& transfer = transfers_[number];
  const int to = transfer.to;
  transfer.received = now(to);
  const std::uint32_t carried = carried_[number];
  // Who knows the sender's tick knows everything that the sender knew then.
  if (!knows(to, transfer.from, transfer.posted)) {
    const std::uint32_t old = clock_[index(to)];
    const bool shared = clocks_[old].uses > 1;
    const std::uint32_t target = shared ? fresh_clock() : old;
    std::vector<Block>& joined = clocks_[target].blocks;
    for (std::size_t i = 0; i < joined.size(); ++i) {
      joined[i] = latest(clocks_[old].blocks[i], clocks_[carried].blocks[i]);
    }
    entry(target, transfer.from) = transfer.posted;
    if (shared) {
      release(old);
      clock_[index(to)] = target;
    }
  }
  release(carried);
}

bool Order::write_over(const Access& write, int rank) const {
  if (write.rank != Access::kPut) return knows(rank, write.rank, write.when);
  const Transfer& put = transfers_[write.when];
  return put.received != 0 && knows(rank, put.to, put.received);
}

bool Order::read_over(const Access& read, int rank) const {
  if (write_over(read, rank)) return true;
  if (read.rank != Access::kPut) return false;
  const Transfer& put = transfers_[read.when];
  if (put.fetched) return false;
  const std::vector<Tick>& flushes = flushes_[index(put.from)];
  const auto flush = std::upper_bound(flushes.begin(), flushes.end(), put.posted);
  return flush != flushes.end() && knows(rank, put.from, *flush);
}

}  // namespace paceline::collectives::verifier
