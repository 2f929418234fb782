#include "collectives/verifier_memory.h"

namespace paceline::collectives::verifier {
namespace {

/// splitmix64: every input bit changes every output bit, which is all that tags need.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
  x = (x ^ x >> 27) * 0x94d049bb133111ebU;
  return x ^ x >> 31;
}

}  // namespace

Memory::Memory(const Shape& shape, const VerifyOptions& options, const Layout& layout, Order& order,
               const std::vector<std::unique_ptr<Schedule>>& schedules)
    : shape_(shape),
      options_(options),
      layout_(layout),
      order_(order),
      in_place_(options.in_place || options.collective == Collective::broadcast),
      instances_(schedules.size()),
      scratch_(schedules.size()),
      shadow_(schedules.size()),
      expected_(static_cast<std::size_t>(options.instances)),
      more_reads_(1) {
  for (const auto& schedule : schedules) ticks_.push_back(schedule->steps() + 1);
  for (auto& of_rank : instances_) of_rank.resize(static_cast<std::size_t>(options.instances));
  for (std::size_t rank = 0; rank < scratch_.size(); ++rank) {
    const std::size_t cells = layout.cuts(static_cast<int>(rank), Buffer::scratch).cells();
    scratch_[rank].assign(static_cast<std::size_t>(options.scratches), std::vector<Cell>(cells));
  }
}

Tick Memory::entered(int rank, int instance) const {
  return static_cast<Tick>(ticks_[index(rank)] * static_cast<std::uint64_t>(instance) + 1);
}

bool Memory::contributes(int rank) const {
  return options_.collective != Collective::broadcast || rank == shape_.root;
}

std::uint64_t Memory::tag(int rank, int instance, std::size_t cell) const {
  const auto who = static_cast<std::uint64_t>(rank) << 32 | static_cast<std::uint64_t>(instance);
  return mixed(mixed(mixed(options_.seed) ^ who) ^ cell);
}

const std::vector<std::uint64_t>& Memory::expected(int instance) {
  std::vector<std::uint64_t>& sums = expected_[index(instance)];
  if (sums.empty()) {
    sums.assign(layout_.cuts(0, Buffer::output).cells(), 0);
    for (int rank = 0; rank < shape_.size; ++rank) {
      if (!contributes(rank)) continue;
      for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += tag(rank, instance, k);
    }
  }
  return sums;
}

// A rank's input is there from the moment it enters the instance, and not before: who reads it must
// have heard of that.
Memory::Instance& Memory::instance(int owner, int number) {
  Instance& found = instances_[index(owner)][index(number)];
  if (found.begun) return found;
  found.begun = true;
  const std::size_t cells = layout_.cuts(owner, Buffer::output).cells();
  found.output.resize(cells);
  if (!in_place_) found.input.resize(cells);
  if (!contributes(owner)) return found;
  std::vector<Cell>& input = in_place_ ? found.output : found.input;
  for (std::size_t k = 0; k < cells; ++k) {
    input[k].value = tag(owner, number, k);
    input[k].write = {owner, entered(owner, number)};
  }
  return found;
}

std::span<Cell> Memory::cells(const Place& place) {
  const Slice& slice = place.where.slice;
  const int owner = place.where.owner;
  const Cuts& cuts = layout_.cuts(owner, slice.buffer);
  const std::size_t first = cuts.index(slice.offset);
  const std::size_t count = cuts.index(slice.offset + slice.length) - first;
  std::vector<Cell>* all = nullptr;
  if (place.shadow) {
    all = &shadow_[index(owner)];
    if (all->empty()) all->resize(cuts.cells());
  } else if (slice.buffer == Buffer::scratch) {
    all = &scratch_[index(owner)][index(place.instance % options_.scratches)];
  } else {
    Instance& of_owner = instance(owner, place.instance);
    if (of_owner.ended) {
      throw Violation{"touches " + describe(place) + ", which has ended that instance"};
    }
    all = slice.buffer == Buffer::input && !in_place_ ? &of_owner.input : &of_owner.output;
  }
  return std::span(*all).subspan(first, count);
}

std::uint64_t Memory::read(Cell& cell, int rank, const Access& as, const Place& place) {
  if (!cell.write.exists()) {
    throw Violation{"reads " + describe(place) + ", which was never written"};
  }
  if (!order_.write_over(cell.write, rank)) {
    throw Violation{"reads " + describe(place) + " in a race with the write by " +
                    describe(cell.write)};
  }
  // What is over for this read is over for whatever comes after it.
  if (!cell.read.exists() || order_.read_over(cell.read, rank)) {
    cell.read = as;
    return cell.value;
  }
  if (cell.more_reads == 0) {
    if (free_reads_.empty()) {
      free_reads_.push_back(static_cast<std::uint32_t>(more_reads_.size()));
      more_reads_.emplace_back();
    }
    cell.more_reads = free_reads_.back();
    free_reads_.pop_back();
  }
  std::vector<Access>& more = more_reads_[cell.more_reads];
  std::erase_if(more, [&](const Access& one) { return order_.read_over(one, rank); });
  more.push_back(as);
  return cell.value;
}

void Memory::write(Cell& cell, int rank, const Access& as, std::uint64_t value,
                   const Place& place) {
  if (cell.write.exists() && !order_.write_over(cell.write, rank)) {
    throw Violation{"writes " + describe(place) + " in a race with the write by " +
                    describe(cell.write)};
  }
  const auto require_over = [&](const Access& one) {
    if (order_.read_over(one, rank)) return;
    throw Violation{"writes " + describe(place) + " in a race with the read by " + describe(one)};
  };
  if (cell.read.exists()) require_over(cell.read);
  for (const Access& one : more_reads_[cell.more_reads]) require_over(one);
  forget_reads(cell);
  cell.write = as;
  cell.value = value;
}

void Memory::forget_reads(Cell& cell) {
  cell.read = {};
  if (cell.more_reads == 0) return;
  more_reads_[cell.more_reads].clear();
  free_reads_.push_back(cell.more_reads);
  cell.more_reads = 0;
}

void Memory::end(int owner, int number) {
  Instance& mine = instance(owner, number);
  const Cuts& cuts = layout_.cuts(owner, Buffer::output);
  const std::vector<std::uint64_t>& sums = expected(number);
  const auto place = [&](Buffer buffer, std::size_t k) {
    return Place{{owner, {buffer, cuts.at(k), cuts.at(k + 1) - cuts.at(k)}}, false, number};
  };
  const auto require_idle = [&](Buffer buffer, std::size_t k, const Access& access, bool over) {
    // The sources of the owner's own puts are left to the flush at the end of the operation.
    const bool own = access.rank == Access::kPut && order_.transfer(access.when).from == owner;
    if (!access.exists() || own || over) return;
    throw Violation{"ends the instance while " + describe(place(buffer, k)) +
                    " is still accessed by " + describe(access)};
  };
  const auto release = [&](Buffer buffer, std::vector<Cell>& all) {
    for (std::size_t k = 0; k < all.size(); ++k) {
      Cell& cell = all[k];
      require_idle(buffer, k, cell.write,
                   cell.write.exists() && order_.write_over(cell.write, owner));
      require_idle(buffer, k, cell.read, cell.read.exists() && order_.read_over(cell.read, owner));
      for (const Access& one : more_reads_[cell.more_reads]) {
        require_idle(buffer, k, one, order_.read_over(one, owner));
      }
      forget_reads(cell);
    }
  };
  release(Buffer::input, mine.input);
  release(Buffer::output, mine.output);
  for (std::size_t k = 0; k < mine.output.size(); ++k) {
    if (!mine.output[k].write.exists()) {
      throw Violation{"ends the instance, and " + describe(place(Buffer::output, k)) +
                      " was never written"};
    }
    if (mine.output[k].value != sums[k]) {
      throw Violation{"ends the instance, and " + describe(place(Buffer::output, k)) +
                      " is wrong: not each contribution is in it exactly once"};
    }
  }
  mine = {};
  mine.begun = mine.ended = true;
}

std::string Memory::describe(const Place& place) const {
  return (place.shadow ? "shadow of " : "") + verifier::describe(place.where.slice) + " of rank " +
         std::to_string(place.where.owner);
}

std::string Memory::describe(const Access& access) const {
  if (access.rank == Access::kPut) {
    const Transfer& put = order_.transfer(access.when);
    return "the put under way of " + describe(Access{put.from, put.posted});
  }
  const std::uint64_t ticks = ticks_[index(access.rank)];
  const std::uint64_t since = access.when - 1;
  const std::string who =
      "instance " + std::to_string(since / ticks) + " of rank " + std::to_string(access.rank);
  if (since % ticks == 0) return "the beginning of " + who;
  return "step " + std::to_string(since % ticks - 1) + " of " + who;
}

}  // namespace paceline::collectives::verifier
