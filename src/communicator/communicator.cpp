// The public face: checks what the caller gave, and hands it to the core.
#include "paceline/communicator.h"

#include <cstdint>
#include <utility>

#include "bootstrap/launcher_store.h"
#include "communicator/core.h"
#include "paceline/work.h"

namespace paceline {

namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw Error(ErrorCode::invalid_argument, text);
}

void check_pointer(const void* pointer, const char* name, std::size_t count, DataType type) {
  if (count == 0) return;
  if (pointer == nullptr) {
    refuse(std::string(name) + " is null for " + std::to_string(count) +
           " elements: give a buffer, or a count of 0");
  }
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  if (address % size_of(type) != 0) {
    refuse(std::string(name) + " is at an address that is not a multiple of " +
           std::to_string(size_of(type)) + ", the size of " + std::string(to_string(type)) +
           ": align it");
  }
}

void check_count(std::size_t count, DataType type) {
  if (count > SIZE_MAX / 2 / size_of(type)) {
    refuse("a count of " + std::to_string(count) + " elements of " + std::to_string(size_of(type)) +
           " bytes does not fit into memory");
  }
}

// "float32 (1), float64 (2), ... and boolean (13)": the enumerators, which have no gaps.
template <class Enum>
std::string list_of() {
  std::string list;
  for (int i = 1; is_valid(static_cast<Enum>(i)); ++i) {
    if (i > 1) list += is_valid(static_cast<Enum>(i + 1)) ? ", " : " and ";
    list += std::string(to_string(static_cast<Enum>(i))) + " (" + std::to_string(i) + ")";
  }
  return list;
}

void check_type(DataType type) {
  if (is_valid(type)) return;
  refuse("type " + std::to_string(static_cast<int>(type)) +
         " is not a DataType: " + list_of<DataType>() + " are");
}

void check_op(ReduceOp op, DataType type) {
  if (!is_valid(op)) {
    refuse("operation " + std::to_string(static_cast<int>(op)) +
           " is not a ReduceOp: " + list_of<ReduceOp>() + " are");
  }
  if (!offers(op, type)) {
    refuse(std::string(to_string(op)) + " of " + std::string(to_string(type)) +
           " is not offered: " + std::string(kOffered));
  }
  if (op == ReduceOp::premul_sum) {
    refuse(
        "premul_sum needs each rank's factor, which this call does not take: multiply the input by "
        "it and call with sum");
  }
  if (op == ReduceOp::avg) {
    refuse("avg is not carried out: call with sum and divide the result by size()");
  }
}

void check_overlap(const void* in, const void* out, std::size_t bytes) {
  if (in == out) return;
  const auto a = reinterpret_cast<std::uintptr_t>(in);
  const auto b = reinterpret_cast<std::uintptr_t>(out);
  const std::uintptr_t apart = a < b ? b - a : a - b;
  if (apart >= bytes) return;
  refuse("in and out overlap: they start " + std::to_string(apart) + " bytes apart and are " +
         std::to_string(bytes) + " bytes long; give the same buffer for both, or disjoint ones");
}

engine::Call all_reduce_call(const CommunicatorCore& core, const void* in, const void* out,
                             std::size_t count, DataType type, ReduceOp op) {
  check_type(type);
  check_op(op, type);
  check_count(count, type);
  check_pointer(in, "in", count, type);
  check_pointer(out, "out", count, type);
  check_overlap(in, out, count * size_of(type));
  return {Collective::all_reduce,
          type,
          op,
          core.choose_algorithm(Collective::all_reduce, count * size_of(type)),
          0,
          count};
}

engine::Call broadcast_call(const CommunicatorCore& core, const void* buffer, std::size_t count,
                            DataType type, int root) {
  check_type(type);
  check_count(count, type);
  check_pointer(buffer, "buffer", count, type);
  if (root < 0 || root >= core.roster().size()) {
    refuse("root " + std::to_string(root) + " is not a rank of this communicator: 0 to " +
           std::to_string(core.roster().size() - 1) + " are");
  }
  return {Collective::broadcast,
          type,
          ReduceOp::sum,
          core.choose_algorithm(Collective::broadcast, count * size_of(type)),
          root,
          count};
}

void end(std::shared_ptr<CommunicatorCore> core) noexcept {
  if (core == nullptr) return;
  if (!core->forked()) core->leave();
  CommunicatorCore::let_go(std::move(core));
}

// The core, for what only the process that made it can do.
CommunicatorCore& own(const std::shared_ptr<CommunicatorCore>& core) {
  core->require_own_process();
  return *core;
}

engine::Buffers buffers(const void* in, void* out) {
  return {static_cast<const std::byte*>(in), static_cast<std::byte*>(out)};
}

}  // namespace

// --- coming and going

Communicator Communicator::from_environment() {
  return create(Config::from_environment());
}

Communicator Communicator::create(const Config& config) {
  return create(config, nullptr);
}

Communicator Communicator::create(const Config& config, std::shared_ptr<Store> store,
                                  const std::string& name) {
  return Communicator(
      CommunicatorCore::create(bootstrap::with_rank_and_size(config), std::move(store), name));
}

Communicator::Communicator(std::shared_ptr<CommunicatorCore> core) : core_(std::move(core)) {}
Communicator::Communicator(Communicator&&) noexcept = default;

Communicator& Communicator::operator=(Communicator&& other) noexcept {
  if (this == &other) return *this;
  end(std::move(core_));
  core_ = std::move(other.core_);
  return *this;
}

Communicator::~Communicator() {
  end(std::move(core_));
}

// --- facts

int Communicator::rank() const noexcept {
  return core_->config().rank;
}
int Communicator::size() const noexcept {
  return core_->roster().size();
}
int Communicator::ranks_on_host() const noexcept {
  return core_->roster().ranks_on_host();
}
int Communicator::hosts() const noexcept {
  return core_->roster().hosts();
}
const Config& Communicator::config() const noexcept {
  return core_->config();
}
std::vector<Wire> Communicator::wires() const {
  return core_->wires();
}

Algorithm Communicator::algorithm_for(Collective collective, std::size_t count,
                                      DataType type) const {
  check_type(type);
  check_count(count, type);
  return core_->choose_algorithm(collective, count * size_of(type));
}

Usage Communicator::usage() const {
  return own(core_).usage();
}

// --- memory

Memory Communicator::allocate(std::size_t bytes, Device device) {
  return Memory(own(core_).registrar().allocate(bytes, device));
}

Memory Communicator::register_memory(void* pointer, std::size_t bytes) {
  if (pointer == nullptr && bytes != 0) {
    refuse("register_memory was given null and " + std::to_string(bytes) +
           " bytes: give the address of memory that exists");
  }
  return Memory(own(core_).registrar().register_memory(pointer, bytes));
}

// --- collectives

void Communicator::all_reduce(const void* in, void* out, std::size_t count, DataType type,
                              ReduceOp op) {
  own(core_).run(all_reduce_call(*core_, in, out, count, type, op), buffers(in, out));
}

Work Communicator::all_reduce_async(const void* in, void* out, std::size_t count, DataType type,
                                    ReduceOp op) {
  return {core_,
          own(core_).start(all_reduce_call(*core_, in, out, count, type, op), buffers(in, out))};
}

void Communicator::broadcast(void* buffer, std::size_t count, DataType type, int root) {
  own(core_).run(broadcast_call(*core_, buffer, count, type, root), buffers(buffer, buffer));
}

Work Communicator::broadcast_async(void* buffer, std::size_t count, DataType type, int root) {
  return {core_, own(core_).start(broadcast_call(*core_, buffer, count, type, root),
                                  buffers(buffer, buffer))};
}

void Communicator::barrier() {
  own(core_).run({Collective::barrier, DataType::float32, ReduceOp::sum,
                  core_->choose_algorithm(Collective::barrier, 0), 0, 0},
                 {});
}

// --- trouble

void Communicator::abort(const std::string& reason) {
  own(core_).abort(reason);
}
bool Communicator::failed() const noexcept {
  return core_->failed();
}

std::vector<int> Communicator::survivors() {
  return own(core_).survivors();
}
Communicator Communicator::shrink() {
  return Communicator(own(core_).shrink());
}

std::vector<OperationRecord> Communicator::history() const {
  return own(core_).history();
}
void Communicator::write_history(const std::string& path, HistoryFormat format) const {
  own(core_).write_history(path, format);
}

void Communicator::require_same_length(std::size_t in, std::size_t out) {
  if (in == out) return;
  refuse("in has " + std::to_string(in) + " elements and out " + std::to_string(out) +
         ": give spans of the same length");
}

std::string version() {
  return PACELINE_VERSION;
}

}  // namespace paceline
