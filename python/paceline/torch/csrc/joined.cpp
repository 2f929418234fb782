#include "joined.h"

namespace paceline::torch_backend {

namespace {

// What the callbacks of the parts share; whoever takes `left` to 0 tells of the end.
struct Count {
  std::atomic<std::size_t> left;
  std::mutex mutex;
  std::exception_ptr error;  ///< the first one
};

}  // namespace

Joined::Joined(int rank, std::vector<OperationPtr> parts)
    : c10d::Work(rank, c10d::OpType::COALESCED),
      parts_(std::move(parts)),
      future_(
          c10::make_intrusive<c10::ivalue::Future>(c10::ListType::create(c10::TensorType::get()))) {
}

c10::intrusive_ptr<Joined> Joined::make(int rank, std::vector<OperationPtr> parts) {
  auto joined = c10::make_intrusive<Joined>(rank, std::move(parts));
  if (joined->parts_.empty()) {
    joined->future_->markCompleted(c10::IValue(std::vector<at::Tensor>()));
    return joined;
  }
  auto count = std::make_shared<Count>();
  count->left = joined->parts_.size();
  const auto results = joined->result();
  for (const OperationPtr& part : joined->parts_) {
    part->getFuture()->addCallback(
        [count, results, future = joined->future_](c10::ivalue::Future& done) {
          if (done.hasError()) {
            const std::lock_guard lock(count->mutex);
            if (!count->error) count->error = done.exception_ptr();
          }
          if (count->left.fetch_sub(1) != 1) return;
          if (count->error) {
            future->setError(count->error);
          } else {
            future->markCompleted(c10::IValue(results));
          }
        });
  }
  return joined;
}

bool Joined::wait(std::chrono::milliseconds timeout) {
  for (const OperationPtr& part : parts_) part->wait(timeout);
  return true;
}

std::vector<at::Tensor> Joined::result() {
  std::vector<at::Tensor> all;
  for (const OperationPtr& part : parts_) {
    const auto of_part = part->result();
    all.insert(all.end(), of_part.begin(), of_part.end());
  }
  return all;
}

}  // namespace paceline::torch_backend
