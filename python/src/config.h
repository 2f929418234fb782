// paceline.init's keyword arguments as a Config.
#pragma once

#include <pybind11/pybind11.h>

#include <map>
#include <string>

#include "paceline/config.h"

namespace paceline::python {

namespace py = pybind11;

/// What the environment says, then the fields that are given, by their names in Config; times are
/// seconds, enumerators their names. Throws Error (invalid_configuration).
Config config_from(std::map<std::string, std::string> environment, const py::dict& fields,
                   bool has_store);

/// Config as a dict, in the same form.
py::dict fields_of(const Config& config);

}  // namespace paceline::python
