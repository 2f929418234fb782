// What a tensor must be like, and lists of tensors as one.
#pragma once

#include "prefix.h"

namespace paceline::torch_backend {

/// ValueError unless the tensor is a dense one in the host's memory. `what` says which one in the
/// text: "the output of all_gather".
void check_host(const at::Tensor& tensor, const char* what);

/// Also contiguous. For what is written.
void check_contiguous(const at::Tensor& tensor, const char* what);

/// Also dense in memory in whatever order of its dimensions: for calls that treat all elements
/// alike, which need the same order on every rank.
void check_dense(const at::Tensor& tensor, const char* what);

/// The one tensor of a list; torch's lists are for several devices of one process.
at::Tensor& only(std::vector<at::Tensor>& tensors, const char* what);
template <class T>
std::vector<T>& only(std::vector<std::vector<T>>& lists, const char* what);

/// Input that may be strided: itself if contiguous, else a copy.
at::Tensor packed(const at::Tensor& tensor, const char* what);

/// Room for all the tensors one behind the other; checks that they are of one dtype. If they lie so
/// already, a view of them.
struct Flat {
  at::Tensor tensor;  ///< one dimension
  bool is_view = false;
  std::vector<std::size_t> lengths;  ///< numel of each
  bool even = true;                  ///< all lengths equal
};
Flat room_for(const std::vector<at::Tensor>& tensors, const char* what);
/// Copies the tensors into `flat`, unless it is a view of them.
void pack(const std::vector<at::Tensor>& tensors, const Flat& flat);
/// And back.
void unpack(const Flat& flat, const std::vector<at::Tensor>& tensors);

}  // namespace paceline::torch_backend
