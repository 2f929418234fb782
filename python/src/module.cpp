// The extension module paceline._native: what paceline/*.py are written on. Its arguments are given
// by position; the names, the defaults and the documentation are those files'.
#include "errors.h"
#include "handle.h"
#include "paceline/communicator.h"
#include "reduction.h"

PYBIND11_MODULE(_native, module) {
  using namespace paceline::python;
  module.attr("VERSION") = paceline::version();
  bind_errors(module);
  bind_reduction(module);
  bind_work(module);
  bind_communicator(module);
}
