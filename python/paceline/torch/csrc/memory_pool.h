// Tensors in the library's own memory, which peers on the host map: collectives on them need no
// copy.
#pragma once

#include "prefix.h"
#include "progress.h"

namespace paceline::torch_backend {

/// An allocator of torch's over Communicator::allocate. To allocate, register and tell peers takes
/// a millisecond for each 4 MB (pages are touched), so that freed blocks are kept for the next
/// tensor of their length; close() gives them back. Any thread.
class MemoryPool : public c10::Allocator, public std::enable_shared_from_this<MemoryPool> {
 public:
  explicit MemoryPool(std::shared_ptr<Progress> progress);
  ~MemoryPool() override;

  /// 64-byte aligned; throws torch's errors.
  at::DataPtr allocate(std::size_t bytes) override;
  void copy_data(void* to, const void* from, std::size_t bytes) const override;

  /// Uninitialised.
  at::Tensor empty(at::IntArrayRef sizes, const at::TensorOptions& options);

  /// Moves the storage of `tensor`, and of all tensors that share it, into memory from here; what
  /// it held is copied. Its old memory is freed: nobody may hold a pointer to it (numpy() does).
  /// False if it is there already. ValueError if the storage is not torch's own or is too small to
  /// gain anything.
  bool adopt(const at::Tensor& tensor);

  /// Bytes given out, and kept for later.
  [[nodiscard]] std::pair<std::size_t, std::size_t> usage();

  /// Frees what is kept; tensors that live keep their memory, and the program keeps it after them.
  void close();

 private:
  struct Block;
  static void release(void* block);
  void keep(std::unique_ptr<Block> block);

  std::shared_ptr<Progress> progress_;
  std::mutex mutex_;
  std::multimap<std::size_t, std::unique_ptr<Block>> kept_;
  std::map<const void*, const Block*> given_;
  std::size_t given_bytes_ = 0;
  std::size_t kept_bytes_ = 0;
  bool closed_ = false;
};

}  // namespace paceline::torch_backend
