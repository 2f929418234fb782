#include "paceline/work.h"

#include <utility>

#include "communicator/core.h"

namespace paceline {

Work::Work(std::shared_ptr<CommunicatorCore> core, std::shared_ptr<engine::Completion> operation)
    : core_(std::move(core)), operation_(std::move(operation)) {}

Work::Work(Work&&) noexcept = default;

Work& Work::operator=(Work&& other) noexcept {
  Work old = std::move(*this);  // waits at the end of the scope, like a destructor
  core_ = std::move(other.core_);
  operation_ = std::move(other.operation_);
  return *this;
}

Work::~Work() {
  if (core_ != nullptr && core_->forked()) {
    abandon(std::move(operation_));
    CommunicatorCore::let_go(std::move(core_));
    return;
  }
  if (operation_ == nullptr || operation_->finished()) return;
  try {
    core_->wait(*operation_);
  } catch (const Error&) {
    // The communicator has failed and says so at its next call.
  }
}

bool Work::done() {
  if (operation_ == nullptr) return true;
  core_->require_own_process();
  return core_->done(*operation_);
}

void Work::restart() {
  if (operation_ == nullptr) return;
  core_->require_own_process();
  const auto operation = std::dynamic_pointer_cast<engine::Operation>(operation_);
  if (operation == nullptr) {
    throw Error(ErrorCode::invalid_argument,
                "Work::restart() was called for a send or recv: call it again");
  }
  if (!operation->finished()) {
    throw Error(ErrorCode::invalid_argument,
                "Work::restart() was called while the operation is under way: wait() first");
  }
  core_->restart(operation);
}

void Work::wait() {
  if (operation_ == nullptr) return;
  core_->require_own_process();
  core_->wait(*operation_);
}

bool Work::wait_for(std::chrono::nanoseconds longest) {
  if (operation_ == nullptr) return true;
  core_->require_own_process();
  return core_->wait_for(*operation_, longest.count());
}

void Work::on_done(std::function<void()> function) {
  if (operation_ == nullptr) return function();
  core_->require_own_process();
  core_->on_done(operation_, std::move(function));
}

}  // namespace paceline
