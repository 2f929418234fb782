// Inputs whose reduction is known exactly, for every operation, type and number of ranks.
//
// The input of a rank repeats with a period of kPeriod elements. So the result does too, and one
// period of it, worked out once from everybody's inputs, is enough to check every element of a
// message. The period is a prime: data that a defect has moved by a chunk, a segment or a page
// meets a different phase and is noticed.
//
// All values are small whole numbers, and so are all intermediate results: the result is exact in
// every type, whatever the order of the operations.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "paceline/types.h"

namespace paceline::bench {

inline constexpr std::size_t kPeriod = 4093;

/// Element i of `rank`'s input, for i < kPeriod.
inline std::int64_t input_value(ReduceOp op, int rank, int ranks, std::size_t i) {
  const std::int64_t r = rank;
  const auto e = static_cast<std::int64_t>(i);
  switch (op) {
    case ReduceOp::sum:
      // At most 13 each: a float32 counts exactly for a million ranks.
      return 1 + (r * 31 + e * 17) % 13;
    case ReduceOp::prod: {
      // At most 16 of the ranks bring a 2, and every third a change of sign; the others a 1: no
      // number of ranks overflows an int32.
      const std::int64_t every = (ranks + 15) / 16;
      const std::int64_t magnitude = (r + e) % every == 0 ? 2 : 1;
      return (r * 7 + e) % 3 == 0 ? -magnitude : magnitude;
    }
    case ReduceOp::min:
    case ReduceOp::max:
      return (r * 37 + e * 101) % 1009 - 500;
  }
  return 0;
}

/// Element i of the result, for i < kPeriod.
inline std::int64_t expected_value(ReduceOp op, int ranks, std::size_t i) {
  std::int64_t result = input_value(op, 0, ranks, i);
  for (int rank = 1; rank < ranks; ++rank) {
    const std::int64_t next = input_value(op, rank, ranks, i);
    switch (op) {
      case ReduceOp::sum:
        result += next;
        break;
      case ReduceOp::prod:
        result *= next;
        break;
      case ReduceOp::min:
        result = std::min(result, next);
        break;
      case ReduceOp::max:
        result = std::max(result, next);
        break;
    }
  }
  return result;
}

/// One period of one type.
template <class T>
class Pattern {
 public:
  static Pattern input(ReduceOp op, int rank, int ranks) {
    return Pattern([=](std::size_t i) { return input_value(op, rank, ranks, i); });
  }
  static Pattern result(ReduceOp op, int ranks) {
    return Pattern([=](std::size_t i) { return expected_value(op, ranks, i); });
  }

  void write(T* data, std::size_t count) const {
    for (std::size_t i = 0; i < count; i += kPeriod) {
      std::memcpy(data + i, period_.data(), std::min(kPeriod, count - i) * sizeof(T));
    }
  }
  /// How many elements differ.
  [[nodiscard]] std::uint64_t wrong(const T* data, std::size_t count) const {
    std::uint64_t wrong = 0;
    for (std::size_t i = 0; i < count; i += kPeriod) {
      const std::size_t length = std::min(kPeriod, count - i);
      if (std::memcmp(data + i, period_.data(), length * sizeof(T)) == 0) continue;
      for (std::size_t j = 0; j < length; ++j) wrong += data[i + j] != period_[j] ? 1U : 0U;
    }
    return wrong;
  }

 private:
  template <class Value>
  explicit Pattern(Value&& value) {
    period_.reserve(kPeriod);
    for (std::size_t i = 0; i < kPeriod; ++i) period_.push_back(static_cast<T>(value(i)));
  }
  std::vector<T> period_;
};

/// Calls `action` with a value of the C++ type that `type` stands for.
template <class Action>
auto with_type(DataType type, Action&& action) {
  switch (type) {
    case DataType::float32:
      return action(float{});
    case DataType::float64:
      return action(double{});
    case DataType::int32:
      return action(std::int32_t{});
    case DataType::int64:
      return action(std::int64_t{});
  }
  return action(std::int64_t{});
}

}  // namespace paceline::bench
