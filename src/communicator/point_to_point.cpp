// Sends and recvs: what a caller may give, and how they are run.
#include <cstdint>
#include <string>

#include "communicator/arguments.h"
#include "communicator/core.h"
#include "communicator/message_arguments.h"

namespace paceline {

namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw Error(ErrorCode::invalid_argument, text);
}

CommunicatorCore& own(const std::shared_ptr<CommunicatorCore>& core) {
  core->require_own_process();
  return *core;
}

}  // namespace

void MessageArguments::check(int size) const {
  check_type(type);
  check_count(count, type);
  if (peer < 0 || peer >= size) {
    refuse("peer " + std::to_string(peer) + " is not a rank of this communicator: 0 to " +
           std::to_string(size - 1) + " are; there is no receiving from any rank");
  }
  if (tag < 0) {
    refuse("tag " + std::to_string(tag) +
           " is negative: tags are 0 and above; there is no receiving of any tag");
  }
  if (count == 0) return;
  const void* const buffer = kind == CallKind::send ? source : target;
  if (buffer == nullptr) {
    refuse("buffer is null for " + std::to_string(count) +
           " elements: give a buffer, or a count of 0");
  }
  if (reinterpret_cast<std::uintptr_t>(buffer) % size_of(type) != 0) {
    refuse("buffer is at an address that is not a multiple of " + std::to_string(size_of(type)) +
           ", the size of " + std::string(to_string(type)) + ": align it");
  }
}

void CommunicatorCore::run_message(const MessageArguments& arguments) {
  arguments.check(config_.size);
  const std::lock_guard guard(*lock_);
  throw_if_failed();
  const engine::MessagePtr message =
      engine_->submit(arguments.call(), static_cast<const std::byte*>(arguments.source),
                      static_cast<std::byte*>(arguments.target));
  if (group_) {
    group_messages_.push_back(message);
    turn(0);
    return start_pump();
  }
  drive(*message);
  if (!engine_->idle()) start_pump();
  if (message->error()) throw Error(*message->error());
}

std::shared_ptr<engine::Message> CommunicatorCore::start_message(
    const MessageArguments& arguments) {
  arguments.check(config_.size);
  const std::lock_guard guard(*lock_);
  throw_if_failed();
  const engine::MessagePtr message =
      engine_->submit(arguments.call(), static_cast<const std::byte*>(arguments.source),
                      static_cast<std::byte*>(arguments.target));
  turn(0);
  // What has left this call but not this rank must not depend on the next one.
  if (!message->finished() || (!links_->moving_nothing() && !links_->flushed())) start_pump();
  return message;
}

// --- the public face

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

}  // namespace paceline
