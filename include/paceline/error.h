// Every failure of the library is a paceline::Error whose text says what was given, what is
// allowed and what to do, and names the culprit.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "paceline/export.h"

namespace paceline {

enum class ErrorCode : std::uint8_t {
  invalid_argument = 1,       ///< a call was given something it cannot take
  invalid_configuration = 2,  ///< a Config field or a PACELINE_ variable is wrong
  bootstrap_failed = 3,       ///< the ranks could not meet
  authentication_failed = 4,  ///< a peer does not know the job's secret
  mismatch = 5,               ///< ranks called different things
  timeout = 6,                ///< an operation passed its deadline
  peer_failed = 7,            ///< a rank died or went silent
  aborted = 8,                ///< somebody called abort()
  transport_failed = 9,       ///< a wire broke
  out_of_memory = 10,         ///< memory, locked memory or descriptors ran out
  unsupported = 11,           ///< this build or machine cannot do it
  internal = 12,              ///< a defect of the library
};

PACELINE_API std::string_view to_string(ErrorCode code);

/// Thrown at set-up, by every blocking call and by Work::wait(). Copyable, immutable.
class PACELINE_API Error : public std::runtime_error {
 public:
  /// No rank, no peer, no sequence number.
  static constexpr int kNoRank = -1;
  static constexpr std::uint64_t kNoSequence = ~std::uint64_t{0};

  struct Where {
    int rank = kNoRank;                    ///< who reports
    int peer = kNoRank;                    ///< the culprit, if one is known
    std::string operation = {};            ///< e.g. "all_reduce(1024 x float32, sum)"
    std::uint64_t sequence = kNoSequence;  ///< the how-manieth call on the communicator
  };

  Error(ErrorCode code, const std::string& text) : Error(code, text, Where{}) {}
  Error(ErrorCode code, const std::string& text, Where where)
      : std::runtime_error(text), code_(code), where_(std::move(where)) {}

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] int rank() const noexcept { return where_.rank; }
  [[nodiscard]] int peer() const noexcept { return where_.peer; }
  [[nodiscard]] const std::string& operation() const noexcept { return where_.operation; }
  [[nodiscard]] std::uint64_t sequence() const noexcept { return where_.sequence; }

 private:
  ErrorCode code_;
  Where where_;
};

}  // namespace paceline
