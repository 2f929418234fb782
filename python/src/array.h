// What a caller gives as an array, whatever library made it: where the elements are, how many, and
// of which type. One file for each way of asking; they are tried in this order:
//
//   NumPy array         array_numpy.cpp   reads the array's own record
//   torch tensor        array_torch.cpp   asks the tensor
//   __dlpack__          array_dlpack.cpp  JAX, CuPy, ...; memory of a CPU only
//   buffer protocol     array_buffer.cpp  bytearray, memoryview, array.array, ctypes, mmap
//
// (__cuda_array_interface__ is recognised in array.cpp, to say that it is not carried.)
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <optional>
#include <string>

#include "paceline/types.h"

namespace paceline::python {

namespace py = pybind11;

/// What an operation does with it.
enum class Use { read, write };

struct Array {
  std::byte* data = nullptr;
  std::size_t count = 0;
  DataType type = DataType::float32;
  /// Keeps the elements where they are, as long as it lives.
  py::object keep;
};

/// What the caller called it: the texts of errors name it so.
struct Argument {
  py::handle object;
  const char* name;
  Use use;
};

/// Throws Error (invalid_argument, unsupported) with a text that says what to give instead.
Array take(const Argument& argument);

// Each gives nothing for what it does not know.
std::optional<Array> take_numpy(const Argument& argument);
std::optional<Array> take_torch(const Argument& argument);
std::optional<Array> take_dlpack(const Argument& argument);
std::optional<Array> take_buffer(const Argument& argument);

/// What they have in common.
[[noreturn]] void refuse_type(const Argument& argument, const std::string& type);
[[noreturn]] void refuse_gaps(const Argument& argument, const std::string& shape);
[[noreturn]] void refuse_read_only(const Argument& argument);
[[noreturn]] void refuse_device(const Argument& argument, const std::string& device);
[[noreturn]] void refuse_byte_order(const Argument& argument, const std::string& type);

/// The DataType by NumPy's, ml_dtypes' or torch's name for it: "float32", "bool", "bfloat16",
/// "float8_e4m3fn".
std::optional<DataType> data_type_named(const std::string& name);

/// The dtype of NumPy (or ml_dtypes) for a DataType.
py::object numpy_dtype(DataType type);

}  // namespace paceline::python
