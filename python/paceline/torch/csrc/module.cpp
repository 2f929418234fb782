// What Python sees: paceline.torch._native.
#include <torch/csrc/utils/pybind.h>

#include <set>

#include "errors.h"
#include "prefix.h"
#include "process_group.h"

namespace paceline::torch_backend {

namespace {

using BackendPtr = c10::intrusive_ptr<c10d::Backend>;

ProcessGroupPaceline& ours(const BackendPtr& backend) {
  auto* const group = dynamic_cast<ProcessGroupPaceline*>(backend.get());
  if (group == nullptr) {
    refuse("the backend of this process group is not paceline but " + backend->getBackendName());
  }
  return *group;
}

BackendPtr create(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size, double timeout,
                  const std::string& name, const std::map<std::string, std::string>& environment) {
  ProcessGroupPaceline::Settings settings;
  settings.rank = rank;
  settings.size = size;
  settings.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(timeout * 1000));
  settings.name = name;
  settings.environment = environment;
  return c10::make_intrusive<ProcessGroupPaceline>(store, settings);
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  namespace py = pybind11;
  // c10d's own types: Backend, Store.
  py::module_::import("torch._C._distributed_c10d");
  using Release = py::call_guard<py::gil_scoped_release>;
  module.def("create", &create, py::arg("store"), py::arg("rank"), py::arg("size"),
             py::arg("timeout"), py::arg("name"), py::arg("environment"), Release());
  module.def(
      "empty",
      [](const BackendPtr& backend, const std::vector<std::int64_t>& sizes, at::ScalarType dtype) {
        return ours(backend).memory()->empty(sizes, at::TensorOptions(dtype));
      },
      py::arg("backend"), py::arg("sizes"), py::arg("dtype"), Release());
  module.def(
      "adopt",
      [](const BackendPtr& backend, const at::Tensor& tensor) {
        return ours(backend).memory()->adopt(tensor);
      },
      py::arg("backend"), py::arg("tensor"), Release());
  module.def(
      "memory_usage", [](const BackendPtr& backend) { return ours(backend).memory()->usage(); },
      py::arg("backend"));
  module.def(
      "shutdown", [](const BackendPtr& backend) { ours(backend).shutdown(); }, py::arg("backend"),
      Release());
  module.def("version", [] { return paceline::version(); });
}

}  // namespace paceline::torch_backend
