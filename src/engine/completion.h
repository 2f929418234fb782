// Whether a call has ended, and how: what a caller waits for.
#pragma once

#include <atomic>
#include <optional>

#include "paceline/error.h"

namespace paceline::engine {

/// Written by the owner of progress only.
class Completion {
 public:
  /// Any thread: true once done or failed.
  [[nodiscard]] bool finished() const { return finished_.load(std::memory_order_acquire); }
  /// Why it failed; empty if it did not. Only after finished().
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 protected:
  Completion() = default;
  virtual ~Completion() = default;

  std::optional<Error> error_;
  std::atomic<bool> finished_{false};
};

}  // namespace paceline::engine
