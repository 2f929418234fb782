#include "operation.h"

#include "errors.h"
#include "progress.h"

namespace paceline::torch_backend {

namespace {

c10::TypePtr list_of_tensors() {
  return c10::ListType::create(c10::TensorType::get());
}

std::optional<std::vector<at::Tensor>> for_the_profiler(const Operation::Call& call) {
  if (call.results.empty()) return std::nullopt;
  return call.results;
}

}  // namespace

Operation::Operation(int rank, std::uint64_t sequence, Call call, std::weak_ptr<Progress> progress)
    : c10d::Work(rank, call.type, call.name, for_the_profiler(call)),
      call_(std::move(call)),
      sequence_(sequence),
      progress_(std::move(progress)),
      future_(c10::make_intrusive<c10::ivalue::Future>(list_of_tensors())) {
  if (call_.timeout.count() > 0) {
    deadline_ = std::chrono::steady_clock::now() + call_.timeout;
  }
}

bool Operation::wait(std::chrono::milliseconds timeout) {
  if (!isCompleted()) {
    const auto progress = progress_.lock();
    if (progress != nullptr && !progress->wait(*this, timeout)) {
      fail(std::string(call_.name) + " #" + std::to_string(sequence_) + " is not done after " +
           std::to_string(timeout.count()) +
           " ms, which is what wait() was given; it goes on, and its tensors must not be touched");
    }
  }
  const std::exception_ptr error = exception();
  if (error) std::rethrow_exception(error);
  return true;
}

void Operation::synchronize() {
  wait(kNoTimeout);
}

void Operation::abort() {
  if (const auto progress = progress_.lock()) progress->abort("Work.abort() was called");
}

std::vector<at::Tensor> Operation::result() {
  return call_.results;
}

c10::intrusive_ptr<c10::ivalue::Future> Operation::getFuture() {
  return future_;
}

void Operation::launch(Communicator& communicator, Mode mode) {
  if (!call_.launch) return;
  try {
    handle_ = call_.launch(communicator, mode);
  } catch (...) {
    error_ = current_as_torch_error();
  }
}

bool Operation::poll(Communicator& communicator) {
  if (error_) return true;
  try {
    if (!handle_.done()) {
      if (deadline_ && std::chrono::steady_clock::now() > *deadline_) {
        deadline_.reset();
        communicator.abort(std::string(call_.name) + " #" + std::to_string(sequence_) +
                           " is not done within its timeout of " +
                           std::to_string(call_.timeout.count()) + " ms");
      }
      return false;
    }
    handle_.wait();
  } catch (...) {
    error_ = current_as_torch_error();
  }
  return true;
}

void Operation::complete() {
  if (!error_ && call_.afterwards) {
    try {
      call_.afterwards();
    } catch (...) {
      error_ = std::current_exception();
    }
  }
  complete_with(error_);
}

void Operation::complete_with(std::exception_ptr error) {
  // The tensors go before torch is told: who is told may free what they share.
  handle_ = {};
  call_.launch = nullptr;
  call_.afterwards = nullptr;
  call_.kept.clear();
  finish(error);
}

void Operation::tell() {
  const std::exception_ptr error = exception();
  if (error) {
    future_->setError(error);
  } else {
    future_->markCompleted(c10::IValue(call_.results));
  }
}

}  // namespace paceline::torch_backend
