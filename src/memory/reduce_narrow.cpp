// Floating point of 16 and 8 bits: combined as float, in the order given, and rounded once at the
// end. Compiled once per instruction set, like reduce_floats.cpp.
#include "memory/reduce_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "memory/reduce_narrow.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h

#include <hwy/highway.h>

#include "memory/reduce_call.h"
#include "memory/reduce_finish.h"
#include "memory/reduce_formats.h"
#include "memory/reduce_kernel.h"
#include "paceline/floats.h"

HWY_BEFORE_NAMESPACE();
namespace paceline::memory::HWY_NAMESPACE {
namespace {

template <class F>
void RunType(const ReduceCall& call) {
  const auto& [type, op, sources, destinations, count, divisor, stores] = call;
  switch (op) {
    case ReduceOp::prod:
      return run_any<Narrow<F>, Prod>(sources, destinations, count);
    case ReduceOp::min:
      return run_any<Narrow<F>, Min>(sources, destinations, count);
    case ReduceOp::max:
      return run_any<Narrow<F>, Max>(sources, destinations, count);
    case ReduceOp::avg:
      if (divisor != 1) {
        return run_any<Narrow<F>, Sum>(sources, destinations, count,
                                       Divide<float>{static_cast<float>(divisor)});
      }
      [[fallthrough]];
    case ReduceOp::sum:
    case ReduceOp::premul_sum:
      return run_any<Narrow<F>, Sum>(sources, destinations, count);
    case ReduceOp::band:
    case ReduceOp::bor:
    case ReduceOp::bxor:
    case ReduceOp::custom:
      return;  // not offered
  }
}

void ReduceNarrow(const ReduceCall& call) {
  if (call.type == DataType::float16) return RunType<float16>(call);
  if (call.type == DataType::bfloat16) return RunType<bfloat16>(call);
  if (call.type == DataType::float8_e4m3) return RunType<float8_e4m3>(call);
  RunType<float8_e5m2>(call);
}

}  // namespace
}  // namespace paceline::memory::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace paceline::memory {

HWY_EXPORT(ReduceNarrow);

void reduce_narrow(const ReduceCall& call) {
  HWY_DYNAMIC_DISPATCH(ReduceNarrow)(call);
}

}  // namespace paceline::memory
#endif  // HWY_ONCE
