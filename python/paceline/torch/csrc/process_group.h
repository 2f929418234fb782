// torch.distributed's backend "paceline".
#pragma once

#include "memory_pool.h"
#include "operation.h"
#include "prefix.h"
#include "progress.h"
#include "types.h"

namespace paceline::torch_backend {

using WorkPtr = c10::intrusive_ptr<c10d::Work>;
using Tensors = std::vector<at::Tensor>;
using TensorLists = std::vector<std::vector<at::Tensor>>;

/// The old names of the virtual functions, which every release since 2.0 calls or forwards to.
/// Where a function takes several tensors or a group, all ranks call the same, as everywhere in
/// torch.distributed.
class ProcessGroupPaceline : public c10d::Backend {
 public:
  struct Settings {
    int rank = 0;
    int size = 1;
    std::chrono::milliseconds timeout{};
    std::string name;                                ///< of the group, for logs
    std::map<std::string, std::string> environment;  ///< PACELINE_* of the process
  };
  /// Meets the other ranks; blocks until all have come. Throws torch's errors.
  ProcessGroupPaceline(c10::intrusive_ptr<c10d::Store> store, const Settings& settings);
  ~ProcessGroupPaceline() override;

  const std::string getBackendName() const override { return "paceline"; }
  void setTimeout(std::chrono::milliseconds timeout) override;
  void abort() override;
  void shutdown() override;
  std::uint64_t getSequenceNumberForGroup() override { return sequence_; }
  void setSequenceNumberForGroup() override {}
  c10::intrusive_ptr<Options> getBackendOptions() override;
  std::shared_ptr<c10::Allocator> getMemAllocator() override;
  at::Tensor allocateTensor(long size, at::TensorOptions options) override;
  bool supportsTensorAlloc(c10::DeviceIndex) override { return true; }
#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 15  // before, it had other arguments
  bool supportsSplitting() const override {
    return true;
  }
  c10::intrusive_ptr<Backend> split(const c10::intrusive_ptr<c10d::Store>& store,
                                    const std::vector<int>& ranks,
                                    const c10::intrusive_ptr<Options>& options) override;
#endif

  // --- one tensor: collectives.cpp
  // -----------------------------------------------------------------
  WorkPtr broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) override;
  WorkPtr allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) override;
  WorkPtr reduce(Tensors& tensors, const c10d::ReduceOptions& options) override;
  WorkPtr _allgather_base(at::Tensor& output, at::Tensor& input,
                          const c10d::AllgatherOptions& options) override;
  WorkPtr _reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                               const c10d::ReduceScatterOptions& options) override;
  WorkPtr alltoall_base(at::Tensor& output, at::Tensor& input,
                        std::vector<std::int64_t>& output_splits,
                        std::vector<std::int64_t>& input_splits,
                        const c10d::AllToAllOptions& options) override;
  WorkPtr barrier(const c10d::BarrierOptions& options) override;

  // --- a tensor for each rank: lists.cpp
  // -------------------------------------------------------------
  WorkPtr allgather(TensorLists& outputs, Tensors& inputs,
                    const c10d::AllgatherOptions& options) override;
  WorkPtr reduce_scatter(Tensors& outputs, TensorLists& inputs,
                         const c10d::ReduceScatterOptions& options) override;
  WorkPtr alltoall(Tensors& outputs, Tensors& inputs,
                   const c10d::AllToAllOptions& options) override;
  WorkPtr gather(TensorLists& outputs, Tensors& inputs,
                 const c10d::GatherOptions& options) override;
  WorkPtr scatter(Tensors& outputs, TensorLists& inputs,
                  const c10d::ScatterOptions& options) override;

  // --- many at once, as one group of the library's: coalesced.cpp
  // --------------------------------------
  WorkPtr allreduce_coalesced(Tensors& tensors,
                              const c10d::AllreduceCoalescedOptions& options) override;
  WorkPtr allgather_coalesced(TensorLists& outputs, Tensors& inputs,
                              const c10d::AllgatherOptions& options) override;
  WorkPtr allgather_into_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                          const c10d::AllgatherOptions& options) override;
  WorkPtr reduce_scatter_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                          const c10d::ReduceScatterOptions& options) override;

  /// What is called from here to endCoalescing() is started as ever, and waited for together.
  void startCoalescing() override;
  WorkPtr endCoalescing() override;

  // --- point to point: messages.cpp
  // --------------------------------------------------------------------
  WorkPtr send(Tensors& tensors, int peer, int tag) override;
  WorkPtr recv(Tensors& tensors, int peer, int tag) override;
  WorkPtr recvAnysource(Tensors& tensors, int tag) override;

  /// Memory that peers on the host can map, for tensors; see memory_pool.h.
  [[nodiscard]] const std::shared_ptr<MemoryPool>& memory() const {
    return memory_;
  }

 private:
  WorkPtr submit(Operation::Call call, std::chrono::milliseconds timeout, bool asynchronous);
  WorkPtr submit_message(Operation::Call call);
  void check_root(std::int64_t root, const char* what) const;

  Settings settings_;
  c10::intrusive_ptr<Options> options_;
  std::chrono::milliseconds limit_{};  ///< of setTimeout(), where shorter than the library's
  std::shared_ptr<Progress> progress_;
  /// Of sends and recvs: on a second communicator of the same ranks, so that none waits for a
  /// collective that another rank has yet to call.
  std::shared_ptr<Progress> messages_;
  std::shared_ptr<MemoryPool> memory_;
  std::atomic<std::uint64_t> sequence_{0};
  std::optional<std::vector<OperationPtr>> coalesced_;  ///< since startCoalescing()
};

}  // namespace paceline::torch_backend
