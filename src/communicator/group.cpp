// Calls that are collected and launched together.
#include <string>
#include <utility>
#include <vector>

#include "communicator/core.h"

namespace paceline {

namespace {

/// Of all inputs and outputs of a rank, without those whose blocks have a length per rank.
std::size_t bytes_of(const std::vector<ReadyCall>& calls, int rank, int size) {
  std::size_t bytes = 0;
  for (const ReadyCall& ready : calls) {
    if (ready.call.per_rank()) continue;
    const Blocks blocks = blocks_of(ready.call.collective, rank, size, ready.call.root);
    bytes += static_cast<std::size_t>(blocks.input + blocks.output) * ready.call.count *
             size_of(ready.call.type);
  }
  return bytes;
}

}  // namespace

void CommunicatorCore::refuse_in_group(const char* what) const {
  if (!group_) return;
  throw Error(ErrorCode::invalid_argument,
              std::string(what) + " cannot be part of a group, in which " +
                  std::to_string(group_->size()) + " calls are collected: end the group first");
}

void CommunicatorCore::group_begin() {
  const std::lock_guard guard(*lock_);
  throw_if_failed();
  if (group_) {
    throw Error(ErrorCode::invalid_argument,
                "group_begin() was called in a group that is still open, with " +
                    std::to_string(group_->size()) + " calls in it: end that one first");
  }
  group_.emplace();
}

std::shared_ptr<engine::Operation> CommunicatorCore::group_end_async() {
  const std::lock_guard guard(*lock_);
  if (!group_messages_.empty()) {
    throw Error(ErrorCode::invalid_argument,
                "a group with sends or recvs cannot end with group_end_async(): call group_end()");
  }
  return launch_group();
}

std::shared_ptr<engine::Operation> CommunicatorCore::launch_group() {
  if (!group_) {
    throw Error(ErrorCode::invalid_argument,
                "group_end() was called without a group_begin() before it");
  }
  std::vector<ReadyCall> calls = std::move(*group_);
  group_.reset();
  throw_if_failed();
  const std::size_t given = calls.size();
  calls = fuse(std::move(calls), config_.rank, config_.size);
  log_.debug(LogComponent::communicator, [&] {
    return "a group of " + std::to_string(given) + " calls is launched as " +
           std::to_string(calls.size());
  });
  const std::size_t together = bytes_of(calls, config_.rank, config_.size);
  // They run one after the other, so the last one's end is the end of all.
  std::shared_ptr<engine::Operation> last;
  for (ReadyCall& ready : calls) {
    ready.buffers.together = together;
    auto operation = engine_->submit(with_algorithm(ready.call), ready.buffers);
    operation->set_before(std::move(last));
    last = std::move(operation);
  }
  if (last == nullptr) return nullptr;
  turn(0);
  if (!last->finished()) start_pump();
  return last;
}

void CommunicatorCore::group_cancel() {
  const std::lock_guard guard(*lock_);
  if (!group_) {
    throw Error(ErrorCode::invalid_argument,
                "group_cancel() was called without a group_begin() before it");
  }
  if (!group_messages_.empty()) {
    throw Error(ErrorCode::invalid_argument,
                "a group in which " + std::to_string(group_messages_.size()) +
                    " sends or recvs have started cannot be cancelled: end it, or abort()");
  }
  group_.reset();
}

void CommunicatorCore::group_end() {
  const std::lock_guard guard(*lock_);
  const auto messages = std::exchange(group_messages_, {});
  if (const auto last = launch_group()) wait(*last);
  for (const auto& message : messages) wait(*message);
}

}  // namespace paceline
