// torch tensors, by asking them. Their DLPack would refuse those that require gradients, which a
// broadcast of parameters is full of, and takes several times as long.
#include <array>
#include <cstdint>
#include <vector>

#include "array.h"
#include "errors.h"

namespace paceline::python {

namespace {

/// What is needed of torch; found once somebody else has imported it.
struct Torch {
  py::handle tensor;  // never released: torch stays imported
  struct Type {
    PyObject* dtype;
    DataType type;
  };
  std::vector<Type> types;
};

const Torch* find_torch() {
  static Torch* found = nullptr;
  if (found != nullptr) return found;
  const auto module = py::reinterpret_steal<py::object>(PyImport_GetModule(py::str("torch").ptr()));
  if (!module || !py::hasattr(module, "Tensor")) return nullptr;  // not there, or not yet
  auto* const torch = new Torch;
  torch->tensor = py::object(module.attr("Tensor")).release();
  constexpr std::array kNames = {"float32",       "float64",     "float16", "bfloat16", "int8",
                                 "int32",         "int64",       "uint8",   "uint32",   "uint64",
                                 "float8_e4m3fn", "float8_e5m2", "bool"};
  for (const char* name : kNames) {
    if (!py::hasattr(module, name)) continue;  // an older torch
    torch->types.push_back({py::object(module.attr(name)).release().ptr(), *data_type_named(name)});
  }
  return found = torch;
}

}  // namespace

std::optional<Array> take_torch(const Argument& argument) {
  const Torch* const torch = find_torch();
  if (torch == nullptr || !py::isinstance(argument.object, torch->tensor)) return std::nullopt;
  const py::handle tensor = argument.object;
  if (!py::bool_(tensor.attr("is_cpu"))) {
    refuse_device(argument, std::string(py::str(tensor.attr("device"))));
  }
  const py::object dtype = tensor.attr("dtype");
  std::optional<DataType> type;
  for (const auto& known : torch->types) {
    if (known.dtype == dtype.ptr()) type = known.type;
  }
  if (!type) {
    std::string name = py::str(dtype);
    if (name.starts_with("torch.")) name.erase(0, 6);
    refuse_type(argument, name);
  }
  if (std::string(py::str(tensor.attr("layout"))) != "torch.strided" ||
      !py::bool_(tensor.attr("is_contiguous")())) {
    refuse_gaps(argument, py::str(py::tuple(tensor.attr("shape"))));
  }
  auto* const data = reinterpret_cast<std::byte*>(tensor.attr("data_ptr")().cast<std::uintptr_t>());
  return Array{data, tensor.attr("numel")().cast<std::size_t>(), *type,
               py::reinterpret_borrow<py::object>(tensor)};
}

}  // namespace paceline::python
