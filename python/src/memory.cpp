// Registered memory: the library's own, which arrays are laid over, and the caller's.
#include <pybind11/stl.h>

#include <memory>
#include <utility>

#include "array.h"
#include "errors.h"
#include "handle.h"
#include "paceline/memory.h"

namespace paceline::python {

namespace {

/// Its end takes the progress lock, so it is Unlocked.
class Allocation {
 public:
  explicit Allocation(Memory memory) : memory_(std::move(memory)) {}
  ~Allocation() {
    const Unlocked unlocked;
    memory_ = Memory();
  }
  Allocation(const Allocation&) = delete;
  Allocation& operator=(const Allocation&) = delete;

  [[nodiscard]] py::buffer_info bytes() const {
    const auto size = static_cast<py::ssize_t>(memory_.size());
    return {memory_.data(), 1, "B", 1, {size}, {1}, false};
  }

 private:
  Memory memory_;
};

/// The same for an array of the caller's, which it keeps.
class Registration {
 public:
  Registration(Memory memory, py::object keep)
      : memory_(std::move(memory)), keep_(std::move(keep)) {}
  ~Registration() { close(); }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

  void close() {
    {
      const Unlocked unlocked;
      memory_ = Memory();
    }
    keep_ = py::object();
  }

 private:
  Memory memory_;
  py::object keep_;
};

std::unique_ptr<Allocation> allocate(Handle& self, std::size_t bytes) {
  Memory memory;
  blocking([&, comm = self.get()] { memory = comm->allocate(bytes); });
  return std::make_unique<Allocation>(std::move(memory));
}

std::unique_ptr<Registration> register_memory(Handle& self, py::handle x) {
  Array array = take({x, "x", Use::write});
  Memory memory;
  blocking([&, comm = self.get()] {
    memory = comm->register_memory(array.data, array.count * size_of(array.type));
  });
  return std::make_unique<Registration>(std::move(memory), std::move(array.keep));
}

}  // namespace

void bind_memory(py::module_& module, py::class_<Handle, std::shared_ptr<Handle>>& type) {
  py::class_<Allocation>(module, "Memory", py::buffer_protocol()).def_buffer(&Allocation::bytes);
  py::class_<Registration>(module, "Registration").def("close", &Registration::close);
  type.def("allocate", &allocate).def("register_memory", &register_memory);
}

}  // namespace paceline::python
