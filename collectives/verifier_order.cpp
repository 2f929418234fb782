#include "collectives/verifier_order.h"

#include <algorithm>

namespace paceline::collectives::verifier {

Order::Order(int size) : size_(index(size)), now_(size_, 0), clock_(size_), flushes_(size_) {
  for (std::uint32_t& clock : clock_) {
    clock = fresh_clock();
    clocks_[clock].entries.assign(size_, 0);
  }
}

std::uint32_t Order::fresh_clock() {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(clocks_.size()));
    clocks_.emplace_back().entries.resize(size_);
  }
  const std::uint32_t clock = free_.back();
  free_.pop_back();
  clocks_[clock].uses = 1;
  return clock;
}

void Order::release(std::uint32_t clock) {
  if (--clocks_[clock].uses == 0) free_.push_back(clock);
}

std::uint32_t Order::post(int from, int to) {
  const std::uint32_t clock = clock_[index(from)];
  ++clocks_[clock].uses;
  transfers_.push_back({from, now(from), to, 0});
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
    const Tick* mine = clocks_[old].entries.data();
    const Tick* learned = clocks_[carried].entries.data();
    Tick* joined = clocks_[target].entries.data();
    for (std::size_t i = 0; i < size_; ++i) joined[i] = std::max(mine[i], learned[i]);
    joined[index(transfer.from)] = transfer.posted;
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
  const std::vector<Tick>& flushes = flushes_[index(put.from)];
  const auto flush = std::upper_bound(flushes.begin(), flushes.end(), put.posted);
  return flush != flushes.end() && knows(rank, put.from, *flush);
}

}  // namespace paceline::collectives::verifier
