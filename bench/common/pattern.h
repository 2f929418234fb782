// Inputs whose reduction is known exactly, for every operation, type and number of ranks.
//
// The input of a rank repeats with a period of kPeriod elements. So the result does too, and one
// period of it, worked out once from everybody's inputs, is enough to check every element of a
// message. The period is a prime: data that a defect has moved by a chunk, a segment or a page
// meets a different phase and is noticed.
//
// All values are small whole numbers, and so are all intermediate results: the result is exact in
// every type, whatever the order of the operations; but for an average, which is rounded once, when
// the sum is divided. How small depends on the type: e5m2 counts to 8, an int8 to 127. Where many
// ranks would count further, most of them bring what changes nothing (a 0, a 1), and others for the
// next element.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>

#include "paceline/types.h"

namespace paceline::bench {

inline constexpr std::size_t kPeriod = 4093;

/// What a type can count.
template <class T>
struct Traits {
  static constexpr bool boolean = std::is_same_v<T, bool>;
  static constexpr bool wide = sizeof(T) >= 4;
  static constexpr bool negative = !std::is_unsigned_v<T>;
};

/// True for at most `most` of the ranks, others from element to element.
inline bool chosen(int rank, int ranks, std::size_t i, int most) {
  const std::int64_t every = (ranks + most - 1) / most;
  return (rank + static_cast<std::int64_t>(i)) % every == 0;
}

/// Of the ranks that are chosen(), at most 7: each has another bit of 7.
inline std::int64_t chosen_bit(int rank, int ranks, std::size_t i) {
  const std::int64_t every = (ranks + 6) / 7;
  return chosen(rank, ranks, i, 7)
             ? std::int64_t{1} << ((rank + static_cast<std::int64_t>(i)) / every % 7)
             : 0;
}

/// One rank says true, and for one element in a while none.
inline bool input_truth(ReduceOp op, int rank, int ranks, std::size_t i) {
  if (op == ReduceOp::bxor) return (static_cast<std::size_t>(rank) + i) % 2 == 0;
  const bool both = op == ReduceOp::prod || op == ReduceOp::min || op == ReduceOp::band;
  const bool alone =
      (static_cast<std::size_t>(rank) + i) % (static_cast<std::size_t>(ranks) + 1) == 0;
  return both ? !alone : alone;
}

/// Element i of `rank`'s input, for i < kPeriod.
template <class T>
std::int64_t input_value(ReduceOp op, int rank, int ranks, std::size_t i) {
  if (Traits<T>::boolean) return input_truth(op, rank, ranks, i) ? 1 : 0;
  const std::int64_t r = rank;
  const auto e = static_cast<std::int64_t>(i);
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::avg:
    case ReduceOp::premul_sum:
    case ReduceOp::custom:
      // At most 13 each: a float32 counts exactly for a million ranks.
      if (Traits<T>::wide) return 1 + (r * 31 + e * 17) % 13;
      // To 96 in an int8, so that an average of few ranks is not 0; to 8 elsewhere.
      if (std::is_integral_v<T>) return chosen(rank, ranks, i, 12) ? 8 : 0;
      return chosen(rank, ranks, i, 4) ? 2 : 0;
    case ReduceOp::prod: {
      // At most 16 of the ranks (6 where 16 would be too many) bring a 2, and every third a change
      // of sign; the others a 1: no number of ranks overflows.
      const std::int64_t magnitude = chosen(rank, ranks, i, Traits<T>::wide ? 16 : 6) ? 2 : 1;
      return Traits<T>::negative && (r * 7 + e) % 3 == 0 ? -magnitude : magnitude;
    }
    case ReduceOp::min:
    case ReduceOp::max: {
      const std::int64_t highest = Traits<T>::wide ? 504 : 8;
      return (r * 37 + e * 101) % (2 * highest + 1) - (Traits<T>::negative ? highest : 0);
    }
    case ReduceOp::band:
      return 127 - chosen_bit(rank, ranks, i);
    case ReduceOp::bor:
      return chosen_bit(rank, ranks, i);
    case ReduceOp::bxor:
      return (r * 37 + e * 101) % 128;
  }
  return 0;
}

/// By what premul_sum multiplies a rank's input.
inline int factor_of(int rank) {
  return 1 + rank % 2;
}

/// What a rank adds to the result.
template <class T>
std::int64_t contribution(ReduceOp op, int rank, int ranks, std::size_t i) {
  const std::int64_t value = input_value<T>(op, rank, ranks, i);
  return op == ReduceOp::premul_sum ? value * factor_of(rank) : value;
}

/// Two values combined, exactly; an average is a sum so far.
template <class T>
std::int64_t combined(ReduceOp op, std::int64_t a, std::int64_t b) {
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::avg:
    case ReduceOp::premul_sum:
    case ReduceOp::custom:
      return Traits<T>::boolean ? a | b : a + b;
    case ReduceOp::prod:
      return a * b;
    case ReduceOp::min:
      return std::min(a, b);
    case ReduceOp::max:
      return std::max(a, b);
    case ReduceOp::band:
      return a & b;
    case ReduceOp::bor:
      return a | b;
    case ReduceOp::bxor:
      return a ^ b;
  }
  return 0;
}

/// A whole number, which T can count, as a T.
template <class T>
T as(std::int64_t value) {
  if constexpr (std::is_arithmetic_v<T>) {
    return static_cast<T>(value);
  } else {
    return T(static_cast<float>(value));
  }
}

/// A sum as an average: divided in the type itself, or in float if that has more bits.
template <class T>
T averaged(std::int64_t sum, int ranks) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(sum / ranks);
  } else {
    using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
    return T(static_cast<Wide>(sum) / static_cast<Wide>(ranks));
  }
}

/// Element i of the result, for i < kPeriod.
template <class T>
T expected_value(ReduceOp op, int ranks, std::size_t i) {
  std::int64_t result = contribution<T>(op, 0, ranks, i);
  for (int rank = 1; rank < ranks; ++rank) {
    result = combined<T>(op, result, contribution<T>(op, rank, ranks, i));
  }
  return op == ReduceOp::avg ? averaged<T>(result, ranks) : as<T>(result);
}

/// One period of one type.
template <class T>
class Pattern {
 public:
  static Pattern input(ReduceOp op, int rank, int ranks) {
    return Pattern([=](std::size_t i) { return as<T>(input_value<T>(op, rank, ranks, i)); });
  }
  static Pattern result(ReduceOp op, int ranks) {
    return Pattern([=](std::size_t i) { return expected_value<T>(op, ranks, i); });
  }

  void write(T* data, std::size_t count) const {
    for (std::size_t i = 0; i < count; i += kPeriod) {
      std::memcpy(data + i, period_.get(), std::min(kPeriod, count - i) * sizeof(T));
    }
  }
  /// How many elements differ.
  [[nodiscard]] std::uint64_t wrong(const T* data, std::size_t count) const {
    std::uint64_t wrong = 0;
    for (std::size_t i = 0; i < count; i += kPeriod) {
      const std::size_t length = std::min(kPeriod, count - i);
      if (std::memcmp(data + i, period_.get(), length * sizeof(T)) == 0) continue;
      for (std::size_t j = 0; j < length; ++j) {
        wrong += std::memcmp(data + i + j, &period_[j], sizeof(T)) != 0 ? 1U : 0U;
      }
    }
    return wrong;
  }

 private:
  template <class Value>
  explicit Pattern(Value&& value) : period_(std::make_unique<T[]>(kPeriod)) {
    for (std::size_t i = 0; i < kPeriod; ++i) period_[i] = value(i);
  }
  std::unique_ptr<T[]> period_;  // not a vector, which would pack booleans into bits
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
    case DataType::int8:
      return action(std::int8_t{});
    case DataType::uint8:
      return action(std::uint8_t{});
    case DataType::uint32:
      return action(std::uint32_t{});
    case DataType::uint64:
      return action(std::uint64_t{});
    case DataType::float16:
      return action(float16{});
    case DataType::bfloat16:
      return action(bfloat16{});
    case DataType::float8_e4m3:
      return action(float8_e4m3{});
    case DataType::float8_e5m2:
      return action(float8_e5m2{});
    case DataType::boolean:
      return action(bool{});
  }
  return action(std::int64_t{});
}

}  // namespace paceline::bench
