// What the elements of every type combine to, one by one and without any of the library's code:
// what memory::reduce and memory::scale are compared with.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <type_traits>

#include "paceline/types.h"
#include "support/short_floats.h"

namespace paceline::memory {

/// A byte of DataType::boolean: any value, which a C++ bool must not have.
struct Boolean {
  std::uint8_t byte;
};

template <class T>
constexpr DataType type_of() {
  if constexpr (std::is_same_v<T, Boolean>) {
    return DataType::boolean;
  } else {
    return DataTypeOf<T>::value;
  }
}

template <class T>
inline constexpr bool kShort = std::is_same_v<T, float16> || std::is_same_v<T, bfloat16> ||
                               std::is_same_v<T, float8_e4m3> || std::is_same_v<T, float8_e5m2>;

/// What a T is combined as.
template <class T>
auto opened(T x) {
  if constexpr (kShort<T>) {
    return static_cast<float>(testing_support::reference_value(x));
  } else if constexpr (std::is_same_v<T, Boolean>) {
    return x.byte != 0;
  } else {
    return x;
  }
}
template <class T>
using Opened = decltype(opened(T{}));

template <class T>
T closed(Opened<T> x) {
  if constexpr (kShort<T>) {
    return testing_support::reference_code<T>(static_cast<double>(x));
  } else if constexpr (std::is_same_v<T, Boolean>) {
    return {static_cast<std::uint8_t>(x ? 1 : 0)};
  } else {
    return x;
  }
}

inline bool combine_truth(ReduceOp op, bool a, bool b) {
  if (op == ReduceOp::bxor) return a != b;
  const bool both = op == ReduceOp::prod || op == ReduceOp::min || op == ReduceOp::band;
  return both ? a && b : a || b;
}

template <class T>
T combine_integers(ReduceOp op, T a, T b) {
  // Modulo 2^64, of which the lower bits are what T keeps.
  const auto x = static_cast<std::uint64_t>(a);
  const auto y = static_cast<std::uint64_t>(b);
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::avg:
    case ReduceOp::premul_sum:
    case ReduceOp::custom:
      return static_cast<T>(x + y);
    case ReduceOp::prod:
      return static_cast<T>(x * y);
    case ReduceOp::min:
      return a < b ? a : b;
    case ReduceOp::max:
      return a > b ? a : b;
    case ReduceOp::band:
      return static_cast<T>(x & y);
    case ReduceOp::bor:
      return static_cast<T>(x | y);
    case ReduceOp::bxor:
      return static_cast<T>(x ^ y);
  }
  return a;
}

template <class T>
T combine_floats(ReduceOp op, T a, T b) {
  if (op == ReduceOp::sum || op == ReduceOp::avg || op == ReduceOp::premul_sum) return a + b;
  if (op == ReduceOp::prod) return a * b;
  if (std::isnan(a)) return a;
  if (std::isnan(b)) return b;
  if (op == ReduceOp::min) return a < b ? a : b;
  return a > b ? a : b;
}

template <class V>
V combine(ReduceOp op, V a, V b) {
  if constexpr (std::is_same_v<V, bool>) {
    return combine_truth(op, a, b);
  } else if constexpr (std::is_integral_v<V>) {
    return combine_integers(op, a, b);
  } else {
    return combine_floats(op, a, b);
  }
}

/// The sum over the divisor.
template <class V>
V averaged(V sum, std::uint32_t divisor) {
  if constexpr (std::is_same_v<V, bool>) {
    return sum;
  } else if constexpr (std::is_signed_v<V> && std::is_integral_v<V>) {
    return static_cast<V>(static_cast<std::int64_t>(sum) / static_cast<std::int64_t>(divisor));
  } else if constexpr (std::is_integral_v<V>) {
    return static_cast<V>(static_cast<std::uint64_t>(sum) / divisor);
  } else {
    return sum / static_cast<V>(divisor);
  }
}

/// Bit by bit; of float and double, which NaN it is is left open.
template <class T>
bool same_bits(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) && std::isnan(b)) return true;
  }
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

/// Values that are hard on arithmetic come up often; any bits at all otherwise.
template <class T>
T operand(std::mt19937_64& random) {
  const std::uint64_t bits = random();
  T result;
  if constexpr (kShort<T> || std::is_same_v<T, Boolean>) {
    // Any code: one in a few is subnormal, infinite or NaN. Or a number near 1, so that numbers of
    // one size meet and cancel each other. Booleans: half of them false.
    std::memcpy(&result, &bits, sizeof result);
    if constexpr (kShort<T>) {
      if ((bits >> 32 & 3) != 0) {
        const auto near = static_cast<double>(static_cast<std::int64_t>(bits)) * 0x1p-61;
        result = testing_support::reference_code<T>(near);
      }
    } else if ((bits >> 32 & 1) != 0) {
      result.byte = 0;
    }
    return result;
  } else {
    using Limits = std::numeric_limits<T>;
    if constexpr (std::is_integral_v<T>) {
      const T special[] = {
          0, 1, static_cast<T>(-1), Limits::min(), Limits::max(), 3, static_cast<T>(-7)};
      return bits % 4 == 0 ? special[(bits >> 8) % 7] : static_cast<T>(bits >> 3);
    } else {
      const T special[] = {T{0},
                           -T{0},
                           Limits::infinity(),
                           -Limits::infinity(),
                           Limits::quiet_NaN(),
                           Limits::denorm_min(),
                           -Limits::denorm_min(),
                           Limits::min() / 3,
                           Limits::max(),
                           Limits::lowest()};
      if (bits % 8 == 0) return special[(bits >> 8) % 10];
      return static_cast<T>(static_cast<double>(static_cast<std::int64_t>(bits)) * 1e-18);
    }
  }
}

inline constexpr ReduceOp kOps[] = {ReduceOp::sum,  ReduceOp::prod, ReduceOp::min,
                                    ReduceOp::max,  ReduceOp::avg,  ReduceOp::premul_sum,
                                    ReduceOp::band, ReduceOp::bor,  ReduceOp::bxor};

/// Calls action(T{}) for the type of every DataType.
template <class Action>
void for_short_floats(Action&& action) {
  action(float16{});
  action(bfloat16{});
  action(float8_e4m3{});
  action(float8_e5m2{});
}
template <class Action>
void for_all_types(Action&& action) {
  action(float{});
  action(double{});
  action(std::int8_t{});
  action(std::uint8_t{});
  action(std::int32_t{});
  action(std::uint32_t{});
  action(std::int64_t{});
  action(std::uint64_t{});
  action(Boolean{});
  for_short_floats(action);
}

}  // namespace paceline::memory
