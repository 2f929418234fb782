// Where the ranks meet, if the caller brings a place.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "paceline/store.h"

namespace paceline::python {

namespace py = pybind11;

/// None: null. A path: a file store. Anything else: an object with set(key, value: bytes) and
/// get(key, timeout: seconds) -> bytes.
std::shared_ptr<Store> store_from(const py::object& given);

}  // namespace paceline::python
