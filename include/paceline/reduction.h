// How contributions are combined, where a ReduceOp alone does not say it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "paceline/types.h"

namespace paceline {

/// Combines two contributions, in the host's memory: inout[i] becomes inout[i] combined with in[i],
/// for `count` elements. `inout` comes from ranks before those of `in`. It is called in the thread
/// that makes progress, for pieces of a buffer in any order; it must not call the library. What it
/// throws fails the communicator, with the text in everybody's error.
using ReduceFunction =
    std::function<void(void* inout, const void* in, std::size_t count, DataType type)>;

/// A ReduceOp, with what some of them need besides. Cheap to make and to copy.
class Reduction {
 public:
  Reduction(ReduceOp op) : op_(op) {}  // NOLINT(google-explicit-constructor): stands for it

  /// The sum of each rank's contribution times that rank's factor, which may differ. The product is
  /// rounded to the element type, then summed. Floating point only.
  static Reduction premul_sum(double factor) {
    Reduction r(ReduceOp::premul_sum);
    r.factor_ = factor;
    r.has_factor_ = true;
    return r;
  }
  /// The caller's own function, the same on all ranks, which must be associative. Contributions are
  /// combined in the order of the ranks, unless CallOptions ask for an algorithm that does not. Any
  /// type.
  static Reduction custom(ReduceFunction function) {
    Reduction r(ReduceOp::custom);
    if (function) r.function_ = std::make_shared<const ReduceFunction>(std::move(function));
    return r;
  }

  [[nodiscard]] ReduceOp op() const { return op_; }
  [[nodiscard]] bool has_factor() const { return has_factor_; }
  /// Of premul_sum().
  [[nodiscard]] double factor() const { return factor_; }
  /// Of custom(); else null.
  [[nodiscard]] const std::shared_ptr<const ReduceFunction>& function() const { return function_; }

 private:
  ReduceOp op_;
  bool has_factor_ = false;
  double factor_ = 0;
  std::shared_ptr<const ReduceFunction> function_;
};

}  // namespace paceline
