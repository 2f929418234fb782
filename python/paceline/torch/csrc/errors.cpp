#include "errors.h"

#include "prefix.h"

namespace paceline::torch_backend {

namespace {

template <class E>
std::exception_ptr make(const std::string& text) {
  return std::make_exception_ptr(
      E({__func__, __FILE__, static_cast<std::uint32_t>(__LINE__)}, text));
}

}  // namespace

std::exception_ptr as_torch_error(const Error& error) {
  const std::string text = error.what();
  switch (error.code()) {
    case ErrorCode::invalid_argument:
      return make<c10::ValueError>(text);
    case ErrorCode::unsupported:
      return make<c10::NotImplementedError>(text);
    case ErrorCode::out_of_memory:
      return make<c10::OutOfMemoryError>(text);
    case ErrorCode::invalid_configuration:
    case ErrorCode::bootstrap_failed:
    case ErrorCode::authentication_failed:
    case ErrorCode::mismatch:
    case ErrorCode::timeout:
    case ErrorCode::peer_failed:
    case ErrorCode::aborted:
    case ErrorCode::transport_failed:
    case ErrorCode::internal:
      return make<c10::DistBackendError>(text);
  }
  return make<c10::DistBackendError>(text);
}

std::exception_ptr current_as_torch_error() {
  try {
    throw;
  } catch (const Error& error) {
    return as_torch_error(error);
  } catch (...) {
    return std::current_exception();
  }
}

void fail(const std::string& text) {
  std::rethrow_exception(make<c10::DistBackendError>(text));
}

void refuse(const std::string& text) {
  std::rethrow_exception(make<c10::ValueError>(text));
}

}  // namespace paceline::torch_backend
