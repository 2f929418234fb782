// The library's errors as those that users of torch.distributed know.
#pragma once

#include <exception>
#include <string>

#include "paceline/error.h"

namespace paceline::torch_backend {

/// invalid_argument becomes ValueError, unsupported NotImplementedError, out_of_memory
/// OutOfMemoryError and everything else torch.distributed.DistBackendError; the text is the
/// library's.
std::exception_ptr as_torch_error(const Error& error);

/// The same of whatever is being handled; what is not the library's stays as it is.
std::exception_ptr current_as_torch_error();

/// Throws torch.distributed.DistBackendError.
[[noreturn]] void fail(const std::string& text);
/// Throws ValueError.
[[noreturn]] void refuse(const std::string& text);

}  // namespace paceline::torch_backend
