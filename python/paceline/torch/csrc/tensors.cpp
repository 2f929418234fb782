#include "tensors.h"

#include <cstring>
#include <sstream>

#include "errors.h"

namespace paceline::torch_backend {

namespace {

std::string described(const at::Tensor& tensor) {
  std::ostringstream text;
  text << "shape " << tensor.sizes() << ", strides " << tensor.strides() << ", " << tensor.dtype();
  return text.str();
}

bool one_behind_the_other(const std::vector<at::Tensor>& tensors) {
  const auto* next = static_cast<const char*>(tensors.front().data_ptr());
  for (const at::Tensor& tensor : tensors) {
    if (!tensor.is_contiguous() || tensor.data_ptr() != next) return false;
    if (!tensor.storage().is_alias_of(tensors.front().storage())) return false;
    next += tensor.nbytes();
  }
  return true;
}

// By memcpy where that does it: copy_ would start a team of OpenMP's threads in a thread of ours,
// beside the one that the program computes with.
void copy_into(const at::Tensor& to, const at::Tensor& from) {
  if (to.is_contiguous() && from.is_contiguous()) {
    if (from.nbytes() > 0) std::memcpy(to.data_ptr(), from.data_ptr(), from.nbytes());
  } else {
    to.copy_(from);
  }
}

}  // namespace

void check_host(const at::Tensor& tensor, const char* what) {
  if (!tensor.defined()) refuse(std::string(what) + " is no tensor");
  if (tensor.is_sparse() || tensor.layout() != at::kStrided) {
    refuse(std::string(what) + " is sparse; paceline takes dense tensors: call to_dense()");
  }
  if (!tensor.device().is_cpu()) {
    refuse(std::string(what) + " is on " + tensor.device().str() +
           "; paceline takes tensors in the host's memory today. Use "
           "init_process_group(\"cpu:paceline,cuda:nccl\") for programs with both, or "
           "tensor.cpu()");
  }
}

void check_contiguous(const at::Tensor& tensor, const char* what) {
  check_host(tensor, what);
  if (!tensor.is_contiguous()) {
    refuse(std::string(what) + " is not contiguous (" + described(tensor) +
           "): call .contiguous() and use the result");
  }
}

void check_dense(const at::Tensor& tensor, const char* what) {
  check_host(tensor, what);
  if (!tensor.is_non_overlapping_and_dense()) {
    refuse(std::string(what) + " has gaps in memory or overlaps itself (" + described(tensor) +
           "): call .contiguous() and use the result");
  }
}

at::Tensor& only(std::vector<at::Tensor>& tensors, const char* what) {
  if (tensors.size() != 1) {
    refuse(std::string(what) + " is a list of " + std::to_string(tensors.size()) +
           " tensors; one is allowed");
  }
  return tensors.front();
}

template <class T>
std::vector<T>& only(std::vector<std::vector<T>>& lists, const char* what) {
  if (lists.size() != 1) {
    refuse(std::string(what) + " is " + std::to_string(lists.size()) + " lists; one is allowed");
  }
  return lists.front();
}
template std::vector<at::Tensor>& only(std::vector<std::vector<at::Tensor>>&, const char*);

at::Tensor packed(const at::Tensor& tensor, const char* what) {
  check_host(tensor, what);
  return tensor.contiguous();
}

Flat room_for(const std::vector<at::Tensor>& tensors, const char* what) {
  if (tensors.empty()) refuse(std::string(what) + " is an empty list");
  Flat flat;
  std::int64_t total = 0;
  for (const at::Tensor& tensor : tensors) {
    check_host(tensor, what);
    if (tensor.scalar_type() != tensors.front().scalar_type()) {
      refuse(std::string(what) + " has tensors of " + c10::toString(tensor.scalar_type()) +
             " and of " + c10::toString(tensors.front().scalar_type()) + "; one dtype is allowed");
    }
    flat.lengths.push_back(static_cast<std::size_t>(tensor.numel()));
    flat.even = flat.even && tensor.numel() == tensors.front().numel();
    total += tensor.numel();
  }
  flat.is_view = one_behind_the_other(tensors);
  flat.tensor = flat.is_view ? tensors.front().as_strided({total}, {1})
                             : at::empty({total}, tensors.front().options());
  return flat;
}

void pack(const std::vector<at::Tensor>& tensors, const Flat& flat) {
  if (flat.is_view) return;
  const at::NoGradGuard no_grad;
  std::int64_t begin = 0;
  for (const at::Tensor& tensor : tensors) {
    copy_into(flat.tensor.narrow(0, begin, tensor.numel()).view(tensor.sizes()), tensor);
    begin += tensor.numel();
  }
}

void unpack(const Flat& flat, const std::vector<at::Tensor>& tensors) {
  if (flat.is_view) return;
  const at::NoGradGuard no_grad;
  std::int64_t begin = 0;
  for (const at::Tensor& tensor : tensors) {
    copy_into(tensor, flat.tensor.narrow(0, begin, tensor.numel()).view(tensor.sizes()));
    begin += tensor.numel();
  }
}

}  // namespace paceline::torch_backend
