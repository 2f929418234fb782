// Element types and reductions of torch as the library's.
#pragma once

#include "prefix.h"

namespace paceline::torch_backend {

/// A tensor's memory as the library takes it.
struct Elements {
  void* data = nullptr;
  std::size_t count = 0;
  DataType type = DataType::uint8;
};

/// For calls that only move data: any dtype; what the library has no name for travels as bytes,
/// complex numbers as two floats.
Elements to_move(const at::Tensor& tensor);

/// For calls that combine by `op`; ValueError or TypeError for a dtype that cannot be.
Elements to_reduce(const at::Tensor& tensor, const c10d::ReduceOp& op);

/// ValueError for what the library does not have.
Reduction reduction_of(const c10d::ReduceOp& op);

}  // namespace paceline::torch_backend
