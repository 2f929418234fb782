#include "memory_pool.h"

#include <bit>
#include <cstring>

#include "errors.h"
#include "tensors.h"

namespace paceline::torch_backend {

namespace {

/// Lengths are rounded up to an eighth of a power of two, so that a block serves tensors of nearly
/// its length and at most an eighth of it is lost; at least a page.
std::size_t rounded(std::size_t bytes) {
  constexpr std::size_t kPage = 4096;
  if (bytes <= 8 * kPage) return std::max(kPage, (bytes + kPage - 1) / kPage * kPage);
  const std::size_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

}  // namespace

struct MemoryPool::Block {
  Memory memory;
  std::size_t bytes = 0;
  std::weak_ptr<MemoryPool> pool;
};

MemoryPool::MemoryPool(std::shared_ptr<Progress> progress) : progress_(std::move(progress)) {}

MemoryPool::~MemoryPool() = default;

at::DataPtr MemoryPool::allocate(std::size_t bytes) {
  if (bytes == 0) return {nullptr, at::kCPU};
  const std::size_t length = rounded(bytes);
  std::unique_ptr<Block> block;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = kept_.find(length); found != kept_.end()) {
      block = std::move(found->second);
      kept_.erase(found);
      kept_bytes_ -= length;
    }
  }
  if (block == nullptr) {
    block = std::make_unique<Block>();
    try {
      block->memory = progress_->communicator()->allocate(length);
    } catch (...) {
      std::rethrow_exception(current_as_torch_error());
    }
    block->bytes = length;
    block->pool = weak_from_this();
  }
  void* const data = block->memory.data();
  const std::lock_guard lock(mutex_);
  given_bytes_ += length;
  given_[data] = block.get();
  return {data, block.release(), &MemoryPool::release, at::kCPU};
}

void MemoryPool::release(void* pointer) {
  std::unique_ptr<Block> block(static_cast<Block*>(pointer));
  if (const auto pool = block->pool.lock()) pool->keep(std::move(block));
}

void MemoryPool::keep(std::unique_ptr<Block> block) {
  if (!progress_->own_process()) {  // as everything from before a fork
    (void)block.release();
    return;
  }
  const std::lock_guard lock(mutex_);
  given_bytes_ -= block->bytes;
  given_.erase(block->memory.data());
  if (closed_) return;
  kept_bytes_ += block->bytes;
  const std::size_t bytes = block->bytes;
  kept_.emplace(bytes, std::move(block));
}

void MemoryPool::copy_data(void* to, const void* from, std::size_t bytes) const {
  default_copy_data(to, from, bytes);
}

at::Tensor MemoryPool::empty(at::IntArrayRef sizes, const at::TensorOptions& options) {
  if (!options.device().is_cpu()) {
    refuse("paceline allocates tensors in the host's memory, not on " + options.device().str());
  }
  const auto dtype = options.dtype();
  std::size_t bytes = dtype.itemsize();
  for (const std::int64_t size : sizes) bytes *= static_cast<std::size_t>(size);
  at::Storage storage(at::Storage::use_byte_size_t(), bytes, allocate(bytes), nullptr, false);
  at::Tensor tensor = at::empty({0}, options);
  tensor.set_(storage, 0, sizes);
  return tensor;
}

bool MemoryPool::adopt(const at::Tensor& tensor) {
  check_host(tensor, "the tensor to be moved");
  const at::Storage& storage = tensor.storage();
  {
    const std::lock_guard lock(mutex_);
    if (given_.contains(storage.data())) return false;
  }
  const std::size_t bytes = storage.nbytes();
  if (bytes == 0) return false;
  at::DataPtr ours = allocate(bytes);
  std::memcpy(ours.get(), storage.data(), bytes);
  storage.unsafeGetStorageImpl()->set_data_ptr_noswap(std::move(ours));
  return true;
}

std::pair<std::size_t, std::size_t> MemoryPool::usage() {
  const std::lock_guard lock(mutex_);
  return {given_bytes_, kept_bytes_};
}

void MemoryPool::close() {
  std::multimap<std::size_t, std::unique_ptr<Block>> kept;
  const std::lock_guard lock(mutex_);
  kept.swap(kept_);
  kept_bytes_ = 0;
  closed_ = true;
}

}  // namespace paceline::torch_backend
