// Integers and booleans. Sums and products are those of the unsigned type, whose bits are the same
// and which wraps; bits are combined as bytes. Compiled once per instruction set, like
// reduce_floats.cpp.
#include "memory/reduce_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "memory/reduce_integers.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h

#include <hwy/highway.h>

#include <cstdint>
#include <type_traits>

#include "memory/reduce_call.h"
#include "memory/reduce_finish.h"
#include "memory/reduce_formats.h"
#include "memory/reduce_kernel.h"

HWY_BEFORE_NAMESPACE();
namespace paceline::memory::HWY_NAMESPACE {
namespace {

template <class T>
void Integer(const ReduceCall& call) {
  using Wrapping = std::make_unsigned_t<T>;
  using Factors = std::conditional_t<sizeof(T) == 1, WidenedBytes, Plain<Wrapping>>;
  const auto& [type, op, sources, destinations, count, divisor, stores] = call;
  switch (op) {
    case ReduceOp::avg:
      if (divisor != 1) {
        return run_any<Plain<Wrapping>, Sum>(sources, destinations, count,
                                             DivideInteger<T>{divisor});
      }
      [[fallthrough]];
    case ReduceOp::sum:
      return run_shaped<Plain<Wrapping>, Sum>(sources, destinations, count);
    case ReduceOp::prod:
      return run_any<Factors, Prod>(sources, destinations, count);
    case ReduceOp::min:
      return run_any<Plain<T>, Min>(sources, destinations, count);
    case ReduceOp::max:
      return run_any<Plain<T>, Max>(sources, destinations, count);
    case ReduceOp::band:
      return run_any<Plain<std::uint8_t>, And>(sources, destinations, count * sizeof(T));
    case ReduceOp::bor:
      return run_any<Plain<std::uint8_t>, Or>(sources, destinations, count * sizeof(T));
    case ReduceOp::bxor:
      return run_any<Plain<std::uint8_t>, Xor>(sources, destinations, count * sizeof(T));
    case ReduceOp::premul_sum:
    case ReduceOp::custom:
      return;  // not offered
  }
}

void Boolean(const ReduceCall& call) {
  const auto& [type, op, sources, destinations, count, divisor, stores] = call;
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::max:
    case ReduceOp::bor:
      return run_any<Truth, Or>(sources, destinations, count);
    case ReduceOp::prod:
    case ReduceOp::min:
    case ReduceOp::band:
      return run_any<Truth, And>(sources, destinations, count);
    case ReduceOp::bxor:
      return run_any<Truth, Xor>(sources, destinations, count);
    case ReduceOp::avg:
    case ReduceOp::premul_sum:
    case ReduceOp::custom:
      return;  // not offered
  }
}

void ReduceIntegers(const ReduceCall& call) {
  switch (call.type) {
    case DataType::int8:
      return Integer<std::int8_t>(call);
    case DataType::uint8:
      return Integer<std::uint8_t>(call);
    case DataType::int32:
      return Integer<std::int32_t>(call);
    case DataType::uint32:
      return Integer<std::uint32_t>(call);
    case DataType::int64:
      return Integer<std::int64_t>(call);
    case DataType::uint64:
      return Integer<std::uint64_t>(call);
    case DataType::boolean:
      return Boolean(call);
    case DataType::float32:
    case DataType::float64:
    case DataType::float16:
    case DataType::bfloat16:
    case DataType::float8_e4m3:
    case DataType::float8_e5m2:
      return;  // elsewhere
  }
}

}  // namespace
}  // namespace paceline::memory::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace paceline::memory {

HWY_EXPORT(ReduceIntegers);

void reduce_integers(const ReduceCall& call) {
  HWY_DYNAMIC_DISPATCH(ReduceIntegers)(call);
}

}  // namespace paceline::memory
#endif  // HWY_ONCE
