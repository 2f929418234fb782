#include "collectives/verifier.h"

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

#include "collectives/verifier_memory.h"
#include "collectives/verifier_order.h"
#include "collectives/verifier_slices.h"

namespace paceline::collectives {
namespace verifier {
namespace {

constexpr EdgeReach kAllMapped = {.my_input = Reach::mapped,
                                  .my_output = Reach::mapped,
                                  .my_scratch = Reach::mapped,
                                  .peer_input = Reach::mapped,
                                  .peer_output = Reach::mapped,
                                  .peer_scratch = Reach::mapped};

/// How many steps a rank takes at most before another may be chosen. What is ordered does not
/// depend on the interleaving; this only varies in which order violations are found, and bounds how
/// much is under way at once.
constexpr std::uint64_t kMaxStride = 16;

/// Puts and signals of one rank to another that wait to be waited for: a list through links_.
constexpr std::uint32_t kNone = ~std::uint32_t{0};
struct Inbox {
  std::uint32_t oldest = kNone;
  std::uint32_t newest = kNone;
};

struct Message {
  Slice target = {};
  int instance = 0;
  std::uint32_t transfer = 0;
  std::uint32_t next = kNone;
};

/// Where a rank is.
struct Progress {
  int instance = 0;
  std::uint64_t step = 0;
  bool entered = false;
  int waits_for = -1;
};

bool same_target(const Slice& a, const Slice& b) {
  return a == b || (a.length == 0 && b.length == 0);
}

/// Thrown where related slices turn out to be cut differently.
struct CutUnlike {};

/// Runs all ranks, in some order, on memory of cells.
class Run {
 public:
  Run(const Shape& shape, const VerifyOptions& options, const Layout& layout,
      const std::vector<std::unique_ptr<Schedule>>& schedules)
      : shape_(shape),
        options_(options),
        layout_(layout),
        schedules_(schedules),
        order_(shape.size),
        memory_(shape, options, layout, order_, schedules),
        progress_(schedules.size()),
        inboxes_(schedules.size() * schedules.size()),
        random_(options.seed) {}

  /// Throws Violation or CutUnlike.
  void run();

 private:
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  [[nodiscard]] const Schedule& schedule(int rank) const { return *schedules_[index(rank)]; }
  [[nodiscard]] EdgeReach reach(int peer) const {
    return options_.reach ? options_.reach(rank_, peer, progress_[index(rank_)].instance)
                          : kAllMapped;
  }
  Inbox& inbox(int from, int to) { return inboxes_[index(to) * progress_.size() + index(from)]; }
  [[nodiscard]] Place place(int owner, const Slice& slice, bool shadow = false) const {
    return {{owner, slice}, shadow, progress_[index(rank_)].instance};
  }

  /// Where what `slice` names is kept.
  [[nodiscard]] Place kept_at(int owner, std::uint64_t kept, const Slice& slice) const {
    return place(owner, {Buffer::scratch, kept, slice.length});
  }

  /// Takes the next step of rank_; false if it cannot go on.
  bool advance();
  void enter();
  void leave();
  [[nodiscard]] bool happens(const Step& step) const {
    return step.peer < 0 || takes_place(step, reach(step.peer));
  }
  void post(const Step& step);
  void wait(const Step& step);
  void reduce(const Step& step, std::uint64_t i);
  void require_last(const Place& destination);
  void require_no_shift();
  void align(const Place& operand, std::size_t cells);
  /// Adds what is in the cells to values_, and copies values_ into them.
  void load(const Place& from, const Access& as);
  void store(const Place& to, const Access& as);
  void require_finished();
  [[nodiscard]] std::string where_at(int rank) const;

  const Shape& shape_;
  const VerifyOptions& options_;
  const Layout& layout_;
  const std::vector<std::unique_ptr<Schedule>>& schedules_;
  Order order_;
  Memory memory_;
  std::vector<Progress> progress_;
  std::vector<Inbox> inboxes_;
  std::vector<Message> messages_;
  std::vector<std::uint32_t> free_messages_;
  std::mt19937_64 random_;
  std::vector<int> runnable_;
  int rank_ = 0;  ///< whose step it is
  // Of the step at hand:
  std::optional<OwnedSlice> first_;    ///< its first operand, to which all must be cut alike
  std::vector<std::uint64_t> values_;  ///< per cell of an operand
  std::vector<Place> sources_;
  std::vector<Place> destinations_;
};

void Run::run() {
  for (int rank = 0; rank < shape_.size; ++rank) runnable_.push_back(rank);
  while (!runnable_.empty()) {
    std::swap(runnable_[random_() % runnable_.size()], runnable_.back());
    rank_ = runnable_.back();
    bool going = true;
    try {
      for (std::uint64_t left = 1 + random_() % kMaxStride; going && left > 0; --left) {
        going = advance();
      }
    } catch (const Violation& violation) {
      throw Violation{where_at(rank_) + ": " + violation.text};
    }
    if (going) continue;
    // The ranks that it has woken are behind it now.
    *std::find(runnable_.rbegin(), runnable_.rend(), rank_) = runnable_.back();
    runnable_.pop_back();
  }
  require_finished();
}

bool Run::advance() {
  Progress& at = progress_[index(rank_)];
  if (at.instance == options_.instances) return false;
  if (!at.entered) enter();
  if (at.step < schedule(rank_).steps()) {
    const Step step = schedule(rank_).step(at.step);
    if (!happens(step)) {
      order_.tick(rank_);
      if (++at.step == schedule(rank_).steps()) leave();
      return true;
    }
    const bool waits = step.kind == StepKind::wait;
    if (waits && inbox(step.peer, rank_).oldest == kNone) {
      at.waits_for = step.peer;
      return false;
    }
    order_.tick(rank_);
    first_.reset();
    switch (step.kind) {
      case StepKind::put:
      case StepKind::signal:
        post(step);
        break;
      case StepKind::wait:
        wait(step);
        break;
      case StepKind::reduce:
        reduce(step, at.step);
        break;
      case StepKind::flush:
        order_.flush(rank_);
        break;
    }
    ++at.step;
  }
  if (at.step == schedule(rank_).steps()) leave();
  return true;
}

void Run::enter() {
  order_.tick(rank_);
  progress_[index(rank_)].entered = true;
}

void Run::leave() {
  Progress& at = progress_[index(rank_)];
  memory_.end(rank_, at.instance);
  for (int other = 0; options_.collective == Collective::barrier && other < shape_.size; ++other) {
    if (!order_.knows(rank_, other, memory_.entered(other, at.instance))) {
      throw Violation{"leaves the barrier before rank " + std::to_string(other) +
                      " is known to have entered it"};
    }
  }
  at = {.instance = at.instance + 1};
  if (at.instance == options_.instances) memory_.end_operation(rank_);
}

void Run::post(const Step& step) {
  const LoweredPut lowered = lower_put(step, reach(step.peer));
  const std::uint32_t transfer = order_.post(rank_, step.peer, lowered.by_reference);
  if (lowered.carries_data) {
    const Access put{Access::kPut, transfer};
    load(place(rank_, step.source), put);
    store(place(step.peer, step.target, lowered.into_shadow), put);
  }
  if (lowered.into_kept) {
    const Access now{rank_, order_.now(rank_)};
    load(place(rank_, step.source), now);
    store(kept_at(rank_, step.kept, step.source), now);
  }
  if (free_messages_.empty()) {
    free_messages_.push_back(static_cast<std::uint32_t>(messages_.size()));
    messages_.emplace_back();
  }
  const std::uint32_t message = free_messages_.back();
  free_messages_.pop_back();
  messages_[message] = {step.target, progress_[index(rank_)].instance, transfer, kNone};
  Inbox& box = inbox(rank_, step.peer);
  (box.oldest == kNone ? box.oldest : messages_[box.newest].next) = message;
  box.newest = message;

  Progress& peer = progress_[index(step.peer)];
  if (peer.waits_for != rank_) return;
  peer.waits_for = -1;
  runnable_.push_back(step.peer);
}

void Run::wait(const Step& step) {
  Inbox& box = inbox(step.peer, rank_);
  const Message message = messages_[box.oldest];
  free_messages_.push_back(box.oldest);
  box.oldest = message.next;
  if (message.instance != progress_[index(rank_)].instance) {
    throw Violation{"gets what rank " + std::to_string(step.peer) + " sent in instance " +
                    std::to_string(message.instance)};
  }
  if (!same_target(message.target, step.target)) {
    throw Violation{"gets what fills its " + describe(message.target) + " instead"};
  }
  order_.receive(message.transfer);
  // What is fetched takes the same way here: it was as it is now when it was put, since nobody may
  // have written it since.
  const LoweredWait lowered = lower_wait(step, reach(step.peer));
  if (lowered != LoweredWait::nothing) {
    const Access now{rank_, order_.now(rank_)};
    load(lowered == LoweredWait::load ? kept_at(step.peer, step.kept, step.target)
                                      : place(rank_, step.target, true),
         now);
    store(place(rank_, step.target), now);
  }
}

void Run::reduce(const Step& step, std::uint64_t i) {
  sources_.clear();
  destinations_.clear();
  for (int j = 0; j < step.sources; ++j) {
    const Operand operand = schedule(rank_).source(i, j);
    const LoweredOperand lowered = operand.owner == rank_
                                       ? LoweredOperand::direct
                                       : lower_source(operand, reach(operand.owner));
    if (lowered == LoweredOperand::fallback) {
      sources_.push_back(place(rank_, operand.fallback));
    } else if (lowered == LoweredOperand::kept) {
      sources_.push_back(kept_at(operand.owner, operand.kept, operand.slice));
    } else {
      sources_.push_back(place(operand.owner, operand.slice));
    }
  }
  for (int j = 0; j < step.destinations; ++j) {
    const Operand operand = schedule(rank_).destination(i, j);
    const LoweredOperand lowered = operand.owner == rank_
                                       ? LoweredOperand::direct
                                       : lower_destination(operand, reach(operand.owner));
    if (lowered == LoweredOperand::dropped) continue;
    if (lowered == LoweredOperand::kept) {
      destinations_.push_back(kept_at(rank_, operand.kept, operand.slice));
      continue;
    }
    destinations_.push_back(place(operand.owner, operand.slice, lowered == LoweredOperand::shadow));
  }
  const Access now{rank_, order_.now(rank_)};
  require_no_shift();
  // What would be copied to where it is stays untouched.
  if (sources_.size() == 1) {
    const auto* const from = memory_.cells(sources_.front()).data();
    const std::size_t same = std::erase_if(
        destinations_, [&](const Place& to) { return memory_.cells(to).data() == from; });
    if (same != 0 && destinations_.empty()) return;
  }
  for (const Place& source : sources_) load(source, now);
  for (const Place& destination : destinations_) {
    require_last(destination);
    store(destination, now);
  }
}

// See "Results" in schedule.h.
void Run::require_last(const Place& destination) {
  if (!reduces(options_.collective) || destination.where.slice.buffer != Buffer::output) return;
  const CellRange range = layout_.range(destination.where);
  for (std::size_t k = 0; k < range.count && k < values_.size(); ++k) {
    if (values_[k] ==
        memory_.expected(destination.where.owner, destination.instance, range.first + k)) {
      continue;
    }
    throw Violation{"reduces into the " + describe(destination.where.slice) + " of rank " +
                    std::to_string(destination.where.owner) +
                    " what is not the result: not each contribution is in it exactly once"};
  }
}

// A reduce goes through its operands in some order that is not ours to know: a destination may be
// exactly a source, but must not overlap one otherwise.
void Run::require_no_shift() {
  const auto by_owner = [](const Place& a, const Place& b) {
    return a.where.owner < b.where.owner;
  };
  // In place, an input and an output are one memory, in which the shorter one begins at a block.
  const auto memory_of = [&](const Place& p) {
    const Buffer buffer = p.where.slice.buffer;
    if (p.shadow) return std::pair(true, Buffer::output);
    const bool same = options_.in_place && buffer == Buffer::input &&
                      shared_block(options_.collective, shape_, p.where.owner);
    return std::pair(false, same ? Buffer::output : buffer);
  };
  const auto begin_of = [&](const Place& p) {
    const Slice& slice = p.where.slice;
    const Blocks blocks = blocks_of(options_.collective, shape_, p.where.owner);
    const auto block = shared_block(options_.collective, shape_, p.where.owner);
    if (p.shadow || slice.buffer == Buffer::scratch || !options_.in_place || !block) {
      return slice.offset;
    }
    const bool shorter =
        slice.buffer == Buffer::input ? blocks.input < blocks.output : blocks.output < blocks.input;
    return slice.offset + (shorter ? static_cast<std::uint64_t>(*block) * shape_.count : 0);
  };
  std::sort(sources_.begin(), sources_.end(), by_owner);
  for (const Place& to : destinations_) {
    const auto [first, last] = std::equal_range(sources_.begin(), sources_.end(), to, by_owner);
    for (auto from = first; from != last; ++from) {
      const Slice& a = from->where.slice;
      const Slice& b = to.where.slice;
      const std::uint64_t of_a = begin_of(*from);
      const std::uint64_t of_b = begin_of(to);
      if (memory_of(*from) != memory_of(to) || of_a == of_b) continue;
      if (of_a < of_b + b.length && of_b < of_a + a.length) {
        throw Violation{"reads " + describe(a) + " and writes " + describe(b) +
                        ", which overlap without being the same"};
      }
    }
  }
}

void Run::align(const Place& operand, std::size_t cells) {
  if (!first_) {
    first_ = operand.where;
    values_.assign(cells, 0);
  } else if (cells != values_.size() || (cells > 1 && !layout_.cut_alike(*first_, operand.where))) {
    throw CutUnlike{};
  }
}

void Run::load(const Place& from, const Access& as) {
  const std::span<Cell> cells = memory_.cells(from);
  align(from, cells.size());
  for (std::size_t k = 0; k < cells.size(); ++k) {
    values_[k] += memory_.read(cells[k], rank_, as, from);
  }
}

void Run::store(const Place& to, const Access& as) {
  const std::span<Cell> cells = memory_.cells(to);
  align(to, cells.size());
  for (std::size_t k = 0; k < cells.size(); ++k) {
    memory_.write(cells[k], rank_, as, values_[k], to);
  }
}

void Run::require_finished() {
  for (int rank = 0; rank < shape_.size; ++rank) {
    if (progress_[index(rank)].instance < options_.instances) {
      throw Violation{where_at(rank) + ": waits for ever (deadlock)"};
    }
  }
  for (int to = 0; to < shape_.size; ++to) {
    for (int from = 0; from < shape_.size; ++from) {
      if (inbox(from, to).oldest == kNone) continue;
      throw Violation{"rank " + std::to_string(to) + " never waits for what rank " +
                      std::to_string(from) + " has put into its " +
                      describe(messages_[inbox(from, to).oldest].target)};
    }
  }
}

std::string Run::where_at(int rank) const {
  const Progress& at = progress_[index(rank)];
  std::string text = "rank " + std::to_string(rank) + ", instance " + std::to_string(at.instance);
  if (at.step == schedule(rank).steps()) return text + ", after its last step";
  return text + ", step " + std::to_string(at.step) + " (" +
         describe(schedule(rank).step(at.step)) + ")";
}

}  // namespace
}  // namespace verifier

Verdict verify(const Shape& shape, const std::function<std::unique_ptr<Schedule>(int)>& make,
               const VerifyOptions& options) {
  using verifier::Violation;
  try {
    std::vector<std::unique_ptr<Schedule>> schedules;
    for (int rank = 0; rank < shape.size; ++rank) {
      schedules.push_back(make(rank));
      if (!schedules.back()) throw Violation{"rank " + std::to_string(rank) + " has no schedule"};
    }
    verifier::Layout layout(options.collective, shape, schedules);
    try {
      verifier::Run(shape, options, layout, schedules).run();
    } catch (const verifier::CutUnlike&) {
      layout.close();
      verifier::Run(shape, options, layout, schedules).run();
    }
  } catch (const Violation& violation) {
    return {false, violation.text};
  }
  return {};
}

}  // namespace paceline::collectives
