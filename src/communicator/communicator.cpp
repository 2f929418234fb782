// The public face: checks what the caller gave, and hands it to the core.
#include "paceline/communicator.h"

#include <cstdint>
#include <utility>

#include "bootstrap/launcher_store.h"
#include "communicator/arguments.h"
#include "communicator/core.h"
#include "paceline/work.h"

namespace paceline {

namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw Error(ErrorCode::invalid_argument, text);
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
                              const Reduction& op, const CallOptions& options) {
  own(core_).run({Collective::all_reduce, in, out, count, type, op, 0, options});
}
Work Communicator::all_reduce_async(const void* in, void* out, std::size_t count, DataType type,
                                    const Reduction& op, const CallOptions& options) {
  return {core_, own(core_).start({Collective::all_reduce, in, out, count, type, op, 0, options})};
}

void Communicator::reduce_scatter(const void* in, void* out, std::size_t count, DataType type,
                                  const Reduction& op, const CallOptions& options) {
  own(core_).run({Collective::reduce_scatter, in, out, count, type, op, 0, options});
}
Work Communicator::reduce_scatter_async(const void* in, void* out, std::size_t count, DataType type,
                                        const Reduction& op, const CallOptions& options) {
  return {core_,
          own(core_).start({Collective::reduce_scatter, in, out, count, type, op, 0, options})};
}

void Communicator::all_gather(const void* in, void* out, std::size_t count, DataType type,
                              const CallOptions& options) {
  own(core_).run({Collective::all_gather, in, out, count, type, ReduceOp::sum, 0, options});
}
Work Communicator::all_gather_async(const void* in, void* out, std::size_t count, DataType type,
                                    const CallOptions& options) {
  return {core_, own(core_).start(
                     {Collective::all_gather, in, out, count, type, ReduceOp::sum, 0, options})};
}

void Communicator::all_to_all(const void* in, void* out, std::size_t count, DataType type,
                              const CallOptions& options) {
  own(core_).run({Collective::all_to_all, in, out, count, type, ReduceOp::sum, 0, options});
}
Work Communicator::all_to_all_async(const void* in, void* out, std::size_t count, DataType type,
                                    const CallOptions& options) {
  return {core_, own(core_).start(
                     {Collective::all_to_all, in, out, count, type, ReduceOp::sum, 0, options})};
}

void Communicator::broadcast(void* buffer, std::size_t count, DataType type, int root,
                             const CallOptions& options) {
  own(core_).run(
      {Collective::broadcast, buffer, buffer, count, type, ReduceOp::sum, root, options});
}
Work Communicator::broadcast_async(void* buffer, std::size_t count, DataType type, int root,
                                   const CallOptions& options) {
  return {core_, own(core_).start({Collective::broadcast, buffer, buffer, count, type,
                                   ReduceOp::sum, root, options})};
}

void Communicator::reduce(const void* in, void* out, std::size_t count, DataType type,
                          const Reduction& op, int root, const CallOptions& options) {
  own(core_).run({Collective::reduce, in, out, count, type, op, root, options});
}
Work Communicator::reduce_async(const void* in, void* out, std::size_t count, DataType type,
                                const Reduction& op, int root, const CallOptions& options) {
  return {core_, own(core_).start({Collective::reduce, in, out, count, type, op, root, options})};
}

void Communicator::gather(const void* in, void* out, std::size_t count, DataType type, int root,
                          const CallOptions& options) {
  own(core_).run({Collective::gather, in, out, count, type, ReduceOp::sum, root, options});
}
Work Communicator::gather_async(const void* in, void* out, std::size_t count, DataType type,
                                int root, const CallOptions& options) {
  return {core_, own(core_).start(
                     {Collective::gather, in, out, count, type, ReduceOp::sum, root, options})};
}

void Communicator::scatter(const void* in, void* out, std::size_t count, DataType type, int root,
                           const CallOptions& options) {
  own(core_).run({Collective::scatter, in, out, count, type, ReduceOp::sum, root, options});
}
Work Communicator::scatter_async(const void* in, void* out, std::size_t count, DataType type,
                                 int root, const CallOptions& options) {
  return {core_, own(core_).start(
                     {Collective::scatter, in, out, count, type, ReduceOp::sum, root, options})};
}

void Communicator::barrier() {
  own(core_).run({});
}
Work Communicator::barrier_async() {
  return {core_, own(core_).start({})};
}

// --- with a length per rank

void Communicator::all_gather_v(const void* in, void* out, const CountsPerRank& blocks,
                                DataType type) {
  own(core_).run_uneven({.collective = Collective::all_gather,
                         .in = in,
                         .out = out,
                         .out_blocks = blocks,
                         .type = type});
}
Work Communicator::all_gather_v_async(const void* in, void* out, const CountsPerRank& blocks,
                                      DataType type) {
  return {core_, own(core_).start_uneven({.collective = Collective::all_gather,
                                          .in = in,
                                          .out = out,
                                          .out_blocks = blocks,
                                          .type = type})};
}

void Communicator::reduce_scatter_v(const void* in, void* out, const CountsPerRank& blocks,
                                    DataType type, const Reduction& op) {
  own(core_).run_uneven({.collective = Collective::reduce_scatter,
                         .in = in,
                         .in_blocks = blocks,
                         .out = out,
                         .type = type,
                         .op = op});
}
Work Communicator::reduce_scatter_v_async(const void* in, void* out, const CountsPerRank& blocks,
                                          DataType type, const Reduction& op) {
  return {core_, own(core_).start_uneven({.collective = Collective::reduce_scatter,
                                          .in = in,
                                          .in_blocks = blocks,
                                          .out = out,
                                          .type = type,
                                          .op = op})};
}

void Communicator::all_to_all_v(const void* in, const CountsPerRank& in_blocks, void* out,
                                const CountsPerRank& out_blocks, DataType type) {
  own(core_).run_uneven({.collective = Collective::all_to_all,
                         .in = in,
                         .in_blocks = in_blocks,
                         .out = out,
                         .out_blocks = out_blocks,
                         .type = type});
}
Work Communicator::all_to_all_v_async(const void* in, const CountsPerRank& in_blocks, void* out,
                                      const CountsPerRank& out_blocks, DataType type) {
  return {core_, own(core_).start_uneven({.collective = Collective::all_to_all,
                                          .in = in,
                                          .in_blocks = in_blocks,
                                          .out = out,
                                          .out_blocks = out_blocks,
                                          .type = type})};
}

void Communicator::gather_v(const void* in, std::size_t count, void* out,
                            const CountsPerRank& blocks, DataType type, int root) {
  own(core_).run_uneven({.collective = Collective::gather,
                         .in = in,
                         .out = out,
                         .out_blocks = blocks,
                         .count = count,
                         .type = type,
                         .root = root});
}
Work Communicator::gather_v_async(const void* in, std::size_t count, void* out,
                                  const CountsPerRank& blocks, DataType type, int root) {
  return {core_, own(core_).start_uneven({.collective = Collective::gather,
                                          .in = in,
                                          .out = out,
                                          .out_blocks = blocks,
                                          .count = count,
                                          .type = type,
                                          .root = root})};
}

void Communicator::scatter_v(const void* in, const CountsPerRank& blocks, void* out,
                             std::size_t count, DataType type, int root) {
  own(core_).run_uneven({.collective = Collective::scatter,
                         .in = in,
                         .in_blocks = blocks,
                         .out = out,
                         .count = count,
                         .type = type,
                         .root = root});
}
Work Communicator::scatter_v_async(const void* in, const CountsPerRank& blocks, void* out,
                                   std::size_t count, DataType type, int root) {
  return {core_, own(core_).start_uneven({.collective = Collective::scatter,
                                          .in = in,
                                          .in_blocks = blocks,
                                          .out = out,
                                          .count = count,
                                          .type = type,
                                          .root = root})};
}

// --- point to point

void Communicator::send(const void* buffer, std::size_t count, DataType type, int peer, int tag) {
  own(core_).run_message(MessageArguments{CallKind::send, buffer, nullptr, count, type, peer, tag});
}
Work Communicator::send_async(const void* buffer, std::size_t count, DataType type, int peer,
                              int tag) {
  return {core_, own(core_).start_message(
                     MessageArguments{CallKind::send, buffer, nullptr, count, type, peer, tag})};
}

void Communicator::recv(void* buffer, std::size_t count, DataType type, int peer, int tag) {
  own(core_).run_message(MessageArguments{CallKind::recv, nullptr, buffer, count, type, peer, tag});
}
Work Communicator::recv_async(void* buffer, std::size_t count, DataType type, int peer, int tag) {
  return {core_, own(core_).start_message(
                     MessageArguments{CallKind::recv, nullptr, buffer, count, type, peer, tag})};
}

// --- groups

void Communicator::group_begin() {
  own(core_).group_begin();
}
void Communicator::group_end() {
  own(core_).group_end();
}
void Communicator::group_cancel() {
  own(core_).group_cancel();
}
Work Communicator::group_end_async() {
  return {core_, own(core_).group_end_async()};
}

// --- more communicators

std::optional<Communicator> Communicator::split(int color, int key) {
  std::shared_ptr<CommunicatorCore> part = own(core_).split(color, key);
  if (part == nullptr) return std::nullopt;
  return Communicator(std::move(part));
}
Communicator Communicator::duplicate() {
  return Communicator(own(core_).split(0, rank()));
}

// --- trouble

void Communicator::abort(const std::string& reason) {
  own(core_).abort(reason);
}
void Communicator::while_waiting(std::function<std::string()> ask) {
  own(core_).while_waiting(std::move(ask));
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

std::size_t Communicator::require_blocks(std::size_t longer, std::size_t shorter,
                                         const char* what) const {
  const auto ranks = static_cast<std::size_t>(size());
  if (longer % ranks == 0 && longer / ranks == shorter) return shorter;
  refuse(std::string(what) + " has " + std::to_string(longer) + " elements: with " +
         std::to_string(ranks) + " ranks and blocks of " + std::to_string(shorter) + " it has " +
         std::to_string(shorter * ranks));
}

std::size_t Communicator::require_divisible(std::size_t elements) const {
  const auto ranks = static_cast<std::size_t>(size());
  if (elements % ranks == 0) return elements / ranks;
  refuse("a buffer with a block for each of " + std::to_string(ranks) +
         " ranks has a multiple of so many elements, not " + std::to_string(elements));
}

std::string version() {
  return PACELINE_VERSION;
}

}  // namespace paceline
