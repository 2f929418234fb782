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
      sums_(static_cast<std::size_t>(options.instances)),
      more_reads_(1) {
  for (const auto& schedule : schedules) ticks_.push_back(schedule->steps() + 1);
  for (auto& of_rank : instances_) of_rank.resize(static_cast<std::size_t>(options.instances));
  for (std::size_t rank = 0; rank < scratch_.size(); ++rank) {
    const std::size_t cells = layout.cells(static_cast<int>(rank), Buffer::scratch);
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

std::uint64_t Memory::sum(int instance, std::size_t cell) {
  std::vector<std::uint64_t>& sums = sums_[index(instance)];
  if (sums.empty()) {
    sums.assign(layout_.cells(0, Buffer::input), 0);
    for (int rank = 0; rank < shape_.size; ++rank) {
      if (!contributes(rank)) continue;
      for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += tag(rank, instance, k);
    }
  }
  return sums[cell];
}

// Block b of an output holds what the table of schedule.h says: everybody's, rank b's or the
// root's, and of their inputs the one block, or the one for this rank.
std::uint64_t Memory::expected(int owner, int instance, std::size_t cell) {
  const std::size_t block = layout_.block_cells();
  const std::size_t within = cell % block;
  const std::size_t for_owner = index(owner) * block + within;
  const int from = static_cast<int>(cell / block);
  switch (options_.collective) {
    case Collective::all_reduce:
    case Collective::broadcast:
    case Collective::reduce:
    case Collective::barrier:
      return sum(instance, within);
    case Collective::reduce_scatter:
      return sum(instance, for_owner);
    case Collective::all_gather:
    case Collective::gather:
      return tag(from, instance, within);
    case Collective::all_to_all:
      return tag(from, instance, for_owner);
    case Collective::scatter:
      return tag(shape_.root, instance, for_owner);
  }
  return 0;
}

// A rank's input is there from the moment it enters the instance, and not before: who reads it must
// have heard of that.
Memory::Instance& Memory::instance(int owner, int number) {
  Instance& found = instances_[index(owner)][index(number)];
  if (found.begun) return found;
  found.begun = true;
  found.input.resize(layout_.cells(owner, Buffer::input));
  found.output.resize(layout_.cells(owner, Buffer::output));
  if (in_place_ && shared_block(options_.collective, shape_, owner)) {
    (found.input.size() > found.output.size() ? found.output : found.input).clear();
  }
  if (!contributes(owner)) return found;
  const std::span<Cell> input = buffer(found, owner, Buffer::input);
  for (std::size_t k = 0; k < input.size(); ++k) {
    input[k].value = tag(owner, number, k);
    input[k].write = {owner, entered(owner, number)};
  }
  return found;
}

std::span<Cell> Memory::buffer(Instance& of, int owner, Buffer buffer) {
  std::vector<Cell>& own = buffer == Buffer::input ? of.input : of.output;
  const std::size_t cells = layout_.cells(owner, buffer);
  if (own.size() == cells) return own;
  std::vector<Cell>& other = buffer == Buffer::input ? of.output : of.input;
  const auto block = index(shared_block(options_.collective, shape_, owner).value_or(0));
  return std::span(other).subspan(block * cells, cells);
}

std::span<Cell> Memory::cells(const Place& place) {
  const Slice& slice = place.where.slice;
  const int owner = place.where.owner;
  const CellRange range = layout_.range(place.where);
  if (place.shadow) {
    auto& shadows = shadow_[index(owner)];
    if (shadows.empty()) shadows.resize(index(options_.scratches));
    std::vector<Cell>& shadow = shadows[index(place.instance % options_.scratches)];
    if (shadow.empty()) shadow.resize(layout_.cells(owner, Buffer::output));
    return std::span(shadow).subspan(range.first, range.count);
  }
  if (slice.buffer == Buffer::scratch) {
    std::vector<Cell>& scratch = scratch_[index(owner)][index(place.instance % options_.scratches)];
    return std::span(scratch).subspan(range.first, range.count);
  }
  Instance& of_owner = instance(owner, place.instance);
  if (of_owner.ended) {
    throw Violation{"touches " + describe(place) + ", which has ended that instance"};
  }
  return buffer(of_owner, owner, slice.buffer).subspan(range.first, range.count);
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

// The sources of the owner's own puts are left to what comes at the end of the operation: the
// flush, and for those that are fetched the engine's release.
void Memory::require_idle(int owner, const Access& access, bool over, const std::string& what,
                          const Place& place) const {
  const bool own = access.rank == Access::kPut && order_.transfer(access.when).from == owner;
  if (!access.exists() || own || over) return;
  throw Violation{"ends the " + what + " while " + describe(place) + " is still accessed by " +
                  describe(access)};
}

void Memory::require_idle(int owner, const Cell& cell, const std::string& what,
                          const Place& place) {
  require_idle(owner, cell.write, cell.write.exists() && order_.write_over(cell.write, owner), what,
               place);
  require_idle(owner, cell.read, cell.read.exists() && order_.read_over(cell.read, owner), what,
               place);
  for (const Access& one : more_reads_[cell.more_reads]) {
    require_idle(owner, one, order_.read_over(one, owner), what, place);
  }
}

void Memory::end_operation(int owner) {
  const auto check = [&](std::vector<std::vector<Cell>>& all, Buffer buffer, bool shadow) {
    for (std::vector<Cell>& cells : all) {
      for (std::size_t k = 0; k < cells.size(); ++k) {
        require_idle(owner, cells[k], "operation",
                     {{owner, layout_.slice(owner, buffer, k)}, shadow, 0});
      }
    }
  };
  check(scratch_[index(owner)], Buffer::scratch, false);
  check(shadow_[index(owner)], Buffer::output, true);
}

void Memory::end(int owner, int number) {
  Instance& mine = instance(owner, number);
  const auto place = [&](Buffer buffer, std::size_t k) {
    return Place{{owner, layout_.slice(owner, buffer, k)}, false, number};
  };
  const auto release = [&](Buffer buffer, std::vector<Cell>& all) {
    for (std::size_t k = 0; k < all.size(); ++k) {
      require_idle(owner, all[k], "instance", place(buffer, k));
      forget_reads(all[k]);
    }
  };
  release(Buffer::input, mine.input);
  release(Buffer::output, mine.output);
  const std::span<Cell> output = buffer(mine, owner, Buffer::output);
  for (std::size_t k = 0; k < output.size(); ++k) {
    if (!output[k].write.exists()) {
      throw Violation{"ends the instance, and " + describe(place(Buffer::output, k)) +
                      " was never written"};
    }
    if (output[k].value != expected(owner, number, k)) {
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
