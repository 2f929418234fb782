// paceline::Error becomes the exception of paceline/errors.py that stands for its code.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "paceline/error.h"

namespace paceline::python {

namespace py = pybind11;

/// invalid_argument: the caller gave what cannot be taken.
[[noreturn]] void refuse(const std::string& text);
/// unsupported: this version cannot do it.
[[noreturn]] void refuse_unsupported(const std::string& text);

/// "a list", "an int": the type of an object, for the texts of errors.
std::string a_type(py::handle object);

void bind_errors(py::module_& module);

}  // namespace paceline::python
