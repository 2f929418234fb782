#include "array.h"

#include "errors.h"

namespace paceline::python {

namespace {

constexpr const char* kCarried =
    "float32, float64, float16, bfloat16, float8_e4m3fn, float8_e5m2, int8, int32, int64, uint8, "
    "uint32, uint64 and bool";

std::string named(const Argument& argument) {
  return std::string(argument.name);
}

}  // namespace

void refuse_type(const Argument& argument, const std::string& type) {
  std::string remedy = "convert it (x.astype, x.to)";
  if (type.starts_with("complex")) remedy = "give a view of its parts, x.view(np.float32) or such";
  if (type == "object") remedy = "serialise objects yourself, and give the bytes";
  refuse(named(argument) + " has elements of type " + type + "; carried are " + kCarried + ": " +
         remedy);
}

void refuse_gaps(const Argument& argument, const std::string& shape) {
  const bool written = argument.use == Use::write;
  refuse(named(argument) + ", of shape " + shape +
         ", is not contiguous: its elements do not lie one behind the other in memory; " +
         (written ? "give an array of its own and copy the result, x[...] = out"
                  : "give np.ascontiguousarray(x), or x.contiguous()"));
}

void refuse_read_only(const Argument& argument) {
  refuse(named(argument) +
         " is read-only, and the call writes into it: give a copy that is not, or " +
         "another array as out");
}

void refuse_device(const Argument& argument, const std::string& device) {
  refuse_unsupported(named(argument) + " is in the memory of " + device +
                     ": this version carries memory of the host only; copy it there first, "
                     "x.cpu() or x.get()");
}

void refuse_byte_order(const Argument& argument, const std::string& type) {
  refuse(named(argument) + " has elements of type " + type +
         " in another byte order than this machine's: give x.astype(x.dtype.newbyteorder('='))");
}

std::optional<DataType> data_type_named(const std::string& name) {
  if (name == "float8_e4m3fn") return DataType::float8_e4m3;
  if (name == "float8_e4m3") return std::nullopt;  // ml_dtypes' one with infinities: another format
  return data_type_from(name);
}

py::object numpy_dtype(DataType type) {
  const py::module_ numpy = py::module_::import("numpy");
  switch (type) {
    case DataType::bfloat16:
    case DataType::float8_e4m3:
    case DataType::float8_e5m2: {
      const char* name = type == DataType::bfloat16      ? "bfloat16"
                         : type == DataType::float8_e4m3 ? "float8_e4m3fn"
                                                         : "float8_e5m2";
      try {
        return numpy.attr("dtype")(py::module_::import("ml_dtypes").attr(name));
      } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_ImportError)) throw;
        refuse_unsupported(std::string("NumPy has no ") + name +
                           " of its own: pip install ml_dtypes");
      }
    }
    case DataType::float32:
    case DataType::float64:
    case DataType::int32:
    case DataType::int64:
    case DataType::int8:
    case DataType::uint8:
    case DataType::uint32:
    case DataType::uint64:
    case DataType::float16:
    case DataType::boolean:
      break;
  }
  return numpy.attr("dtype")(std::string(to_string(type)));
}

Array take(const Argument& argument) {
  if (auto array = take_numpy(argument)) return *std::move(array);
  if (auto array = take_torch(argument)) return *std::move(array);
  if (auto array = take_dlpack(argument)) return *std::move(array);
  if (py::hasattr(argument.object, "__cuda_array_interface__")) {
    refuse_device(argument, "a CUDA device");
  }
  if (auto array = take_buffer(argument)) return *std::move(array);
  refuse(named(argument) + " is " + a_type(argument.object) +
         ": give an array, such as np.array(...) or a torch tensor, whose elements the call can "
         "read and write in place");
}

}  // namespace paceline::python
