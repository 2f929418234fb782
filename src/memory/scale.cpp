// A reduction of one source, with a product at the end. Compiled once per instruction set, like
// reduce_floats.cpp.
#include "memory/scale.h"

#include "memory/reduce_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "memory/scale.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h

#include <hwy/highway.h>

#include <cstring>
#include <string>

#include "memory/reduce_finish.h"
#include "memory/reduce_formats.h"
#include "memory/reduce_kernel.h"
#include "paceline/error.h"
#include "paceline/floats.h"

HWY_BEFORE_NAMESPACE();
namespace paceline::memory::HWY_NAMESPACE {
namespace {

template <class Format, class T>
void Times(const void* factor, const std::byte* in, std::byte* out, std::size_t count) {
  T value;
  std::memcpy(&value, factor, sizeof value);
  using Lane = typename Format::Lane;
  const Multiply<Lane> multiply{static_cast<Lane>(value)};
  Kernel<Format, Sum, Multiply<Lane>, 1, 1>({&in, 1}, {&out, 1}, multiply).run(count);
}

void Scale(DataType type, const void* factor, const std::byte* in, std::byte* out,
           std::size_t count) {
  switch (type) {
    case DataType::float32:
      return Times<Plain<float>, float>(factor, in, out, count);
    case DataType::float64:
      return Times<Plain<double>, double>(factor, in, out, count);
    case DataType::float16:
      return Times<Narrow<float16>, float16>(factor, in, out, count);
    case DataType::bfloat16:
      return Times<Narrow<bfloat16>, bfloat16>(factor, in, out, count);
    case DataType::float8_e4m3:
      return Times<Narrow<float8_e4m3>, float8_e4m3>(factor, in, out, count);
    case DataType::float8_e5m2:
      return Times<Narrow<float8_e5m2>, float8_e5m2>(factor, in, out, count);
    case DataType::int8:
    case DataType::uint8:
    case DataType::int32:
    case DataType::uint32:
    case DataType::int64:
    case DataType::uint64:
    case DataType::boolean:
      return;  // not offered
  }
}

}  // namespace
}  // namespace paceline::memory::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace paceline::memory {

HWY_EXPORT(Scale);

void scale(DataType type, const void* factor, const std::byte* in, std::byte* out,
           std::size_t count) {
  if (!offers(ReduceOp::premul_sum, type)) {
    throw Error(ErrorCode::internal, "memory::scale was given type " +
                                         std::string(to_string(type)) +
                                         "; it multiplies floating point only");
  }
  if (count == 0) return;
  HWY_DYNAMIC_DISPATCH(Scale)(type, factor, in, out, count);
}

}  // namespace paceline::memory
#endif  // HWY_ONCE
