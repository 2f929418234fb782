#include "paceline/work.h"

#include <utility>

#include "communicator/core.h"

namespace paceline {

Work::Work(std::shared_ptr<CommunicatorCore> core, std::shared_ptr<engine::Operation> operation)
    : core_(std::move(core)), operation_(std::move(operation)) {}

Work::Work(Work&&) noexcept = default;

Work& Work::operator=(Work&& other) noexcept {
  Work old = std::move(*this);  // waits at the end of the scope, like a destructor
  core_ = std::move(other.core_);
  operation_ = std::move(other.operation_);
  return *this;
}

Work::~Work() {
  if (operation_ == nullptr || operation_->finished()) return;
  try {
    core_->wait(*operation_);
  } catch (const Error&) {
    // The communicator has failed and says so at its next call.
  }
}

bool Work::done() {
  return operation_ == nullptr || core_->done(*operation_);
}

void Work::wait() {
  if (operation_ != nullptr) core_->wait(*operation_);
}

}  // namespace paceline
