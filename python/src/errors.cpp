#include "errors.h"

namespace paceline::python {

namespace {

py::object optional(int rank) {
  return rank == Error::kNoRank ? py::object(py::none()) : py::object(py::int_(rank));
}

void raise(const Error& error) {
  const py::object classes = py::module_::import("paceline.errors").attr("BY_CODE");
  const py::object type = classes[py::int_(static_cast<int>(error.code()))];
  // A text may hold bytes of others (a host's name), which need not be UTF-8.
  const std::string what = error.what();
  const auto text = py::reinterpret_steal<py::object>(
      PyUnicode_DecodeUTF8(what.data(), static_cast<Py_ssize_t>(what.size()), "replace"));
  py::object exception = type(text);
  exception.attr("rank") = optional(error.rank());
  exception.attr("peer") = optional(error.peer());
  if (!error.operation().empty()) exception.attr("operation") = error.operation();
  if (error.sequence() != Error::kNoSequence) exception.attr("sequence") = error.sequence();
  PyErr_SetObject(type.ptr(), exception.ptr());
}

}  // namespace

void refuse(const std::string& text) {
  throw Error(ErrorCode::invalid_argument, text);
}

void refuse_unsupported(const std::string& text) {
  throw Error(ErrorCode::unsupported, text);
}

std::string a_type(py::handle object) {
  if (object.is_none()) return "None";
  const std::string name = py::str(py::type::handle_of(object).attr("__name__"));
  const bool vowel = std::string("aeiouAEIOU").find(name[0]) != std::string::npos;
  return (vowel ? "an " : "a ") + name;
}

void bind_errors(py::module_&) {
  py::register_exception_translator([](std::exception_ptr pointer) {
    if (!pointer) return;
    try {
      std::rethrow_exception(pointer);
    } catch (const Error& error) {
      raise(error);
    }
  });
}

}  // namespace paceline::python
