#include "reduction.h"

#include <memory>
#include <string>
#include <utility>

#include "array.h"
#include "errors.h"

namespace paceline::python {

namespace {

/// A function of Python's, called and let go of in any thread.
class PythonFunction {
 public:
  explicit PythonFunction(py::object function) : function_(std::move(function)) {}
  ~PythonFunction() {
    if (Py_IsInitialized() == 0) {  // too late to give it back
      (void)function_.release();
      return;
    }
    const py::gil_scoped_acquire locked;
    function_ = py::object();
  }
  PythonFunction(const PythonFunction&) = delete;
  PythonFunction& operator=(const PythonFunction&) = delete;

  void operator()(void* inout, const void* in, std::size_t count, DataType type) const {
    const py::gil_scoped_acquire locked;
    try {
      const py::object array = py::module_::import("numpy").attr("ndarray");
      const py::object dtype = numpy_dtype(type);
      const auto bytes = static_cast<py::ssize_t>(count * size_of(type));
      const py::tuple shape = py::make_tuple(count);
      function_(array(shape, dtype, py::memoryview::from_memory(inout, bytes)),
                array(shape, dtype, py::memoryview::from_memory(in, bytes)));
    } catch (const py::error_already_set& error) {
      // Without the interpreter's lock nobody may touch it any more.
      throw std::runtime_error(std::string("the reduction raised ") + error.what());
    }
  }

 private:
  py::object function_;
};

Reduction custom(py::object function) {
  if (PyCallable_Check(function.ptr()) == 0) {
    refuse("custom() was given " + a_type(function) +
           ": give a function of two arrays, which combines the second into the first");
  }
  return Reduction::custom([f = std::make_shared<PythonFunction>(std::move(function))](
                               void* inout, const void* in, std::size_t count, DataType type) {
    (*f)(inout, in, count, type);
  });
}

}  // namespace

Reduction reduction_from(py::handle op) {
  constexpr const char* kAllowed =
      "give \"sum\", \"prod\", \"min\", \"max\", \"avg\", \"band\", \"bor\" or \"bxor\", a "
      "paceline.ReduceOp, paceline.premul_sum(factor) or paceline.custom(function)";
  if (PyUnicode_Check(op.ptr()) != 0) {
    Py_ssize_t length = 0;
    const char* const text = PyUnicode_AsUTF8AndSize(op.ptr(), &length);
    if (text == nullptr) throw py::error_already_set();
    const auto known = reduce_op_from({text, static_cast<std::size_t>(length)});
    if (known) return *known;
    refuse("op is \"" + std::string(text) + "\": " + kAllowed);
  }
  if (py::isinstance<Reduction>(op)) return op.cast<Reduction>();
  if (PyLong_Check(op.ptr()) != 0) {  // ReduceOp is an IntEnum
    const auto value = static_cast<ReduceOp>(op.cast<int>());
    if (is_valid(value)) return value;
  }
  refuse("op is " + a_type(op) + ": " + kAllowed);
}

void bind_reduction(py::module_& module) {
  py::class_<Reduction>(module, "Reduction").def("__repr__", [](const Reduction& self) {
    const std::string name(to_string(self.op()));
    return "paceline." + name +
           (self.has_factor() ? "(" + std::to_string(self.factor()) + ")" : "(...)");
  });
  module.def("premul_sum", &Reduction::premul_sum);
  module.def("custom", &custom);
}

}  // namespace paceline::python
