// Names of the error codes.
#include "paceline/error.h"

namespace paceline {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::invalid_configuration:
      return "invalid_configuration";
    case ErrorCode::bootstrap_failed:
      return "bootstrap_failed";
    case ErrorCode::authentication_failed:
      return "authentication_failed";
    case ErrorCode::mismatch:
      return "mismatch";
    case ErrorCode::timeout:
      return "timeout";
    case ErrorCode::peer_failed:
      return "peer_failed";
    case ErrorCode::aborted:
      return "aborted";
    case ErrorCode::transport_failed:
      return "transport_failed";
    case ErrorCode::out_of_memory:
      return "out_of_memory";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::internal:
      return "internal";
  }
  return "?";
}

}  // namespace paceline
