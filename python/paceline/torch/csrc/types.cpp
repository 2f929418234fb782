#include "types.h"

#include "errors.h"

namespace paceline::torch_backend {

namespace {

std::optional<DataType> named(at::ScalarType type) {
  switch (type) {  // torch adds types in every release: those not listed have no name here
    case at::kFloat:
      return DataType::float32;
    case at::kDouble:
      return DataType::float64;
    case at::kHalf:
      return DataType::float16;
    case at::kBFloat16:
      return DataType::bfloat16;
    case at::kFloat8_e4m3fn:
      return DataType::float8_e4m3;
    case at::kFloat8_e5m2:
      return DataType::float8_e5m2;
    case at::kInt:
      return DataType::int32;
    case at::kLong:
      return DataType::int64;
    case at::kChar:
      return DataType::int8;
    case at::kByte:
      return DataType::uint8;
    case at::kUInt32:
      return DataType::uint32;
    case at::kUInt64:
      return DataType::uint64;
    case at::kBool:
      return DataType::boolean;
    default:
      return std::nullopt;
  }
}

std::optional<DataType> part_of(at::ScalarType type) {
  if (type == at::kComplexFloat) return DataType::float32;
  if (type == at::kComplexDouble) return DataType::float64;
  return std::nullopt;
}

std::string name(at::ScalarType type) {
  return std::string("torch.") + c10::toString(type);
}

}  // namespace

Elements to_move(const at::Tensor& tensor) {
  const auto count = static_cast<std::size_t>(tensor.numel());
  void* const data = tensor.data_ptr();
  if (const auto type = named(tensor.scalar_type())) return {data, count, *type};
  if (const auto part = part_of(tensor.scalar_type())) return {data, 2 * count, *part};
  return {data, count * tensor.element_size(), DataType::uint8};
}

Elements to_reduce(const at::Tensor& tensor, const c10d::ReduceOp& op) {
  const at::ScalarType type = tensor.scalar_type();
  if (named(type)) return to_move(tensor);
  if (!part_of(type)) {
    TORCH_CHECK_TYPE(
        false, "paceline cannot combine elements of ", name(type),
        ": it combines float32, float64, float16, bfloat16, float8_e4m3fn, float8_e5m2,"
        " int8, uint8, int32, int64, uint32, uint64, bool, and sums complex64 and"
        " complex128; convert the tensor first");
  }
  if (op != c10d::ReduceOp::SUM && op != c10d::ReduceOp::AVG && op != c10d::ReduceOp::PREMUL_SUM) {
    refuse(
        "paceline combines complex numbers by SUM, AVG and PREMUL_SUM only, which work part by "
        "part; the tensor is of " +
        name(type));
  }
  return to_move(tensor);
}

Reduction reduction_of(const c10d::ReduceOp& op) {
  switch (op.op_) {
    case c10d::ReduceOp::SUM:
      return ReduceOp::sum;
    case c10d::ReduceOp::AVG:
      return ReduceOp::avg;
    case c10d::ReduceOp::PRODUCT:
      return ReduceOp::prod;
    case c10d::ReduceOp::MIN:
      return ReduceOp::min;
    case c10d::ReduceOp::MAX:
      return ReduceOp::max;
    case c10d::ReduceOp::BAND:
      return ReduceOp::band;
    case c10d::ReduceOp::BOR:
      return ReduceOp::bor;
    case c10d::ReduceOp::BXOR:
      return ReduceOp::bxor;
    case c10d::ReduceOp::PREMUL_SUM: {
      const auto* supplement =
          dynamic_cast<const c10d::NCCLPreMulSumSupplement*>(op.supplement_.get());
      if (supplement == nullptr) refuse("PREMUL_SUM was given without its factor");
      if (supplement->tensor_factor.defined()) {
        return Reduction::premul_sum(supplement->tensor_factor.item<double>());
      }
      return Reduction::premul_sum(supplement->double_factor);
    }
    case c10d::ReduceOp::UNUSED:
      break;
  }
  refuse("reduction number " + std::to_string(static_cast<int>(op.op_)) +
         " is none of SUM, AVG, PRODUCT, MIN, MAX, PREMUL_SUM, BAND, BOR and BXOR");
}

}  // namespace paceline::torch_backend
