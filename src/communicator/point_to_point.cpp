// Sends and recvs: what a caller may give, and how they are run.
#include <string>

#include "communicator/arguments.h"
#include "communicator/core.h"
#include "communicator/message_arguments.h"

namespace paceline {

namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw Error(ErrorCode::invalid_argument, text);
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
  check_pointer(kind == CallKind::send ? source : target, "buffer", count, type);
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
  throw_if_failed(*message);
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
  if (!message->finished() || !links_->flushed()) start_pump();
  return message;
}

}  // namespace paceline
