// NumPy arrays, by their own record: DLPack and the buffer protocol know neither bfloat16 nor the
// short floats of ml_dtypes, and take several times as long.
#include <pybind11/numpy.h>

#include <utility>
#include <vector>

#include "array.h"
#include "errors.h"

namespace paceline::python {

namespace {

using Npy = py::detail::npy_api;

constexpr int kHalf = 23;  ///< NPY_HALF, which pybind11 does not name

std::string text_of(py::handle object) {
  return py::str(object);
}

// Types that NumPy does not know itself have numbers that are given out as their module is
// imported, and kept: found by name once.
std::optional<DataType> registered_type(int number, py::handle dtype) {
  static std::vector<std::pair<int, DataType>> known;
  for (const auto& [n, type] : known) {
    if (n == number) return type;
  }
  const auto type = data_type_named(text_of(dtype));
  if (type) known.emplace_back(number, *type);
  return type;
}

std::optional<DataType> data_type_of(int number, py::handle dtype) {
  switch (number) {
    case Npy::NPY_FLOAT_:
      return DataType::float32;
    case Npy::NPY_DOUBLE_:
      return DataType::float64;
    case Npy::NPY_INT_:
      return DataType::int32;
    case Npy::NPY_LONG_:  // 64 bits on every Linux that has 64
    case Npy::NPY_LONGLONG_:
      return DataType::int64;
    case Npy::NPY_BYTE_:
      return DataType::int8;
    case Npy::NPY_UBYTE_:
      return DataType::uint8;
    case Npy::NPY_UINT_:
      return DataType::uint32;
    case Npy::NPY_ULONG_:
    case Npy::NPY_ULONGLONG_:
      return DataType::uint64;
    case Npy::NPY_BOOL_:
      return DataType::boolean;
    case kHalf:
      return DataType::float16;
    default:  // an int: other modules may have registered more
      return registered_type(number, dtype);
  }
}

static_assert(sizeof(long) == 8);

}  // namespace

std::optional<Array> take_numpy(const Argument& argument) {
  if (!Npy::get().PyArray_Check_(argument.object.ptr())) return std::nullopt;
  const auto* const record = py::detail::array_proxy(argument.object.ptr());
  const auto* const descriptor = py::detail::array_descriptor_proxy(record->descr);
  if (descriptor->byteorder == '>') refuse_byte_order(argument, text_of(record->descr));
  const auto type = data_type_of(descriptor->type_num, record->descr);
  if (!type) refuse_type(argument, text_of(record->descr));
  if ((record->flags & Npy::NPY_ARRAY_C_CONTIGUOUS_) == 0) {
    refuse_gaps(argument, text_of(argument.object.attr("shape")));
  }
  if (argument.use == Use::write && (record->flags & Npy::NPY_ARRAY_WRITEABLE_) == 0) {
    refuse_read_only(argument);
  }
  std::size_t count = 1;
  for (int i = 0; i < record->nd; ++i) count *= static_cast<std::size_t>(record->dimensions[i]);
  return Array{reinterpret_cast<std::byte*>(record->data), count, *type,
               py::reinterpret_borrow<py::object>(argument.object)};
}

}  // namespace paceline::python
