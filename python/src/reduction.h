// How contributions are combined, as Python says it.
#pragma once

#include <pybind11/pybind11.h>

#include "paceline/reduction.h"

namespace paceline::python {

namespace py = pybind11;

/// Of "sum" and its like, a ReduceOp, or what premul_sum() and custom() gave.
Reduction reduction_from(py::handle op);

void bind_reduction(py::module_& module);

}  // namespace paceline::python
