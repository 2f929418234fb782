// Arrays of any library that speaks DLPack (https://dmlc.github.io/dlpack). The capsule is asked
// for and kept, never consumed: its own destructor gives the memory back.
#include <array>
#include <cstdint>
#include <utility>

#include "array.h"
#include "errors.h"

namespace paceline::python {

namespace {

// The records of DLPack 0.x and 1.x, as its specification lays them out.
struct DlTensor {
  void* data;
  std::int32_t device_type;
  std::int32_t device_id;
  std::int32_t dimensions;
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
  const std::int64_t* shape;
  const std::int64_t* strides;  ///< in elements; null: C order without gaps
  std::uint64_t byte_offset;
};
struct DlVersioned {
  std::uint32_t major;
  std::uint32_t minor;
  void* context;
  void (*deleter)(DlVersioned*);
  std::uint64_t flags;
  DlTensor tensor;
};
struct DlUnversioned {  // the same without version and flags, the tensor first
  DlTensor tensor;
  void* context;
  void (*deleter)(DlUnversioned*);
};
constexpr std::uint64_t kReadOnly = 1;
constexpr std::uint64_t kIsCopied = 2;
// What the host can load and store: its memory, and that of it which CUDA or ROCm has pinned.
constexpr int kCpu = 1;
constexpr int kCudaHost = 3;
constexpr int kRocmHost = 11;

std::string device_name(int type, int id) {
  const std::string number = " " + std::to_string(id);
  if (type == 2 || type == 13) return "CUDA device" + number;
  if (type == 10) return "ROCm device" + number;
  return "device" + number + " of DLPack's type " + std::to_string(type);
}

std::string type_name(const DlTensor& t) {
  constexpr std::array<const char*, 7> kKinds = {"int",    "uint",    "float", "opaque handle",
                                                 "bfloat", "complex", "bool"};
  std::string name =
      t.code < kKinds.size() ? kKinds[t.code] : "DLPack's code " + std::to_string(t.code);
  name +=
      t.code < kKinds.size() ? std::to_string(t.bits) : " of " + std::to_string(t.bits) + " bits";
  return t.lanes == 1 ? name : name + " in vectors of " + std::to_string(t.lanes);
}

std::optional<DataType> data_type_of(const DlTensor& t) {
  if (t.lanes != 1) return std::nullopt;
  constexpr std::uint8_t kBool = 6;
  constexpr std::uint8_t kE4m3 = 10;
  constexpr std::uint8_t kE5m2 = 12;
  if (t.code == kBool && t.bits == 8) return DataType::boolean;
  if (t.code == kE4m3 && t.bits == 8) return DataType::float8_e4m3;
  if (t.code == kE5m2 && t.bits == 8) return DataType::float8_e5m2;
  return data_type_named(type_name(t));
}

bool contiguous(const DlTensor& t) {
  if (t.strides == nullptr) return true;
  std::int64_t expected = 1;
  for (int i = t.dimensions - 1; i >= 0; --i) {
    if (t.shape[i] == 0) return true;
    if (t.shape[i] != 1 && t.strides[i] != expected) return false;
    expected *= t.shape[i];
  }
  return true;
}

std::string shape_text(const DlTensor& t) {
  std::string text = "(";
  for (int i = 0; i < t.dimensions; ++i) text += (i > 0 ? ", " : "") + std::to_string(t.shape[i]);
  return text + ")";
}

// Asks for DLPack 1, which knows of read-only memory; older libraries know no versions.
py::object capsule_of(py::handle object) {
  try {
    return object.attr("__dlpack__")(py::arg("max_version") = py::make_tuple(1, 0));
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_TypeError)) throw;
  }
  return object.attr("__dlpack__")();
}

}  // namespace

std::optional<Array> take_dlpack(const Argument& argument) {
  const py::handle object = argument.object;
  if (!py::hasattr(object, "__dlpack__") || !py::hasattr(object, "__dlpack_device__")) {
    return std::nullopt;
  }
  const auto device = object.attr("__dlpack_device__")().cast<std::pair<int, int>>();
  if (device.first != kCpu && device.first != kCudaHost && device.first != kRocmHost) {
    refuse_device(argument, device_name(device.first, device.second));
  }
  py::object capsule = capsule_of(object);
  const DlTensor* tensor = nullptr;
  std::uint64_t flags = 0;
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned") != 0) {
    const auto* const versioned =
        static_cast<const DlVersioned*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    tensor = &versioned->tensor;
    flags = versioned->flags;
  } else if (PyCapsule_IsValid(capsule.ptr(), "dltensor") != 0) {
    tensor =
        &static_cast<const DlUnversioned*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"))->tensor;
  } else {
    refuse(std::string(argument.name) + ".__dlpack__() gave " + a_type(capsule) +
           " that is no DLPack capsule");
  }
  const auto type = data_type_of(*tensor);
  if (!type) refuse_type(argument, type_name(*tensor));
  if (!contiguous(*tensor)) refuse_gaps(argument, shape_text(*tensor));
  if (argument.use == Use::write && (flags & (kReadOnly | kIsCopied)) != 0) {
    refuse_read_only(argument);
  }
  std::size_t count = 1;
  for (int i = 0; i < tensor->dimensions; ++i) count *= static_cast<std::size_t>(tensor->shape[i]);
  return Array{static_cast<std::byte*>(tensor->data) + tensor->byte_offset, count, *type,
               std::move(capsule)};
}

}  // namespace paceline::python
