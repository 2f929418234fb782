// Several operations as one Work, for torch's startCoalescing() and endCoalescing().
#pragma once

#include "operation.h"
#include "prefix.h"

namespace paceline::torch_backend {

/// Done when all of them are; the first error is its own.
class Joined : public c10d::Work {
 public:
  static c10::intrusive_ptr<Joined> make(int rank, std::vector<OperationPtr> parts);

  explicit Joined(int rank, std::vector<OperationPtr> parts);

  bool isCompleted() override { return future_->completed(); }
  bool wait(std::chrono::milliseconds timeout) override;
  void synchronize() override { wait(kNoTimeout); }
  std::vector<at::Tensor> result() override;
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override { return future_; }

 private:
  std::vector<OperationPtr> parts_;
  c10::intrusive_ptr<c10::ivalue::Future> future_;
};

}  // namespace paceline::torch_backend
