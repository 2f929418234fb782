// float32 and float64. Compiled once per instruction set (Highway's foreach_target includes this
// file again and again); the best that the machine has is chosen at run time.
#include "memory/reduce_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "memory/reduce_floats.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h

#include <hwy/highway.h>

#include "memory/reduce_call.h"
#include "memory/reduce_finish.h"
#include "memory/reduce_formats.h"
#include "memory/reduce_kernel.h"

HWY_BEFORE_NAMESPACE();
namespace paceline::memory::HWY_NAMESPACE {
namespace {

template <class T>
void RunType(const ReduceCall& call) {
  const auto& [type, op, sources, destinations, count, divisor, streamed] = call;
  switch (op) {
    case ReduceOp::prod:
      return run_shaped<Plain<T>, Prod>(sources, destinations, count, streamed);
    case ReduceOp::min:
      return run_shaped<Plain<T>, Min>(sources, destinations, count, streamed);
    case ReduceOp::max:
      return run_shaped<Plain<T>, Max>(sources, destinations, count, streamed);
    case ReduceOp::avg:
      if (divisor != 1) {
        return run_any<Plain<T>, Sum>(sources, destinations, count,
                                      Divide<T>{static_cast<T>(divisor)}, streamed);
      }
      [[fallthrough]];
    case ReduceOp::sum:
    case ReduceOp::premul_sum:
      return run_shaped<Plain<T>, Sum>(sources, destinations, count, streamed);
    case ReduceOp::band:
    case ReduceOp::bor:
    case ReduceOp::bxor:
    case ReduceOp::custom:
      return;  // not offered
  }
}

void ReduceFloats(const ReduceCall& call) {
  if (call.type == DataType::float32) return RunType<float>(call);
  RunType<double>(call);
}

template <class T, class Op>
void Pair(const std::byte* first, const std::byte* second, std::byte* to, std::size_t count) {
  const std::byte* const sources[] = {first, second};
  Kernel<Plain<T>, Op, AsIs, 2, 1>(sources, {&to, 1}, {}).run(count);
}

template <class T>
PairReduction PairOfType(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::avg:
    case ReduceOp::premul_sum:
      return &Pair<T, Sum>;
    case ReduceOp::prod:
      return &Pair<T, Prod>;
    case ReduceOp::min:
      return &Pair<T, Min>;
    case ReduceOp::max:
      return &Pair<T, Max>;
    case ReduceOp::band:
    case ReduceOp::bor:
    case ReduceOp::bxor:
    case ReduceOp::custom:
      break;
  }
  return nullptr;
}

PairReduction PairOf(DataType type, ReduceOp op) {
  if (type == DataType::float32) return PairOfType<float>(op);
  if (type == DataType::float64) return PairOfType<double>(op);
  return nullptr;
}

std::string_view InstructionSet() {
  return hwy::TargetName(HWY_TARGET);
}

}  // namespace
}  // namespace paceline::memory::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace paceline::memory {

HWY_EXPORT(ReduceFloats);
HWY_EXPORT(PairOf);
HWY_EXPORT(InstructionSet);

void reduce_floats(const ReduceCall& call) {
  HWY_DYNAMIC_DISPATCH(ReduceFloats)(call);
}

PairReduction pair_reduction(DataType type, ReduceOp op) {
  return HWY_DYNAMIC_DISPATCH(PairOf)(type, op);
}

std::string_view reduce_instruction_set() {
  return HWY_DYNAMIC_DISPATCH(InstructionSet)();
}

}  // namespace paceline::memory
#endif  // HWY_ONCE
