#include "signals.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "errors.h"

namespace paceline::python {

namespace {

thread_local bool in_handler = false;

}  // namespace

bool on_main_thread() {
  return ::getpid() == static_cast<pid_t>(::syscall(SYS_gettid));
}

std::string ask_python() {
  if (!on_main_thread() || in_handler || Py_IsInitialized() == 0) return {};
  const py::gil_scoped_acquire locked;
  in_handler = true;
  const bool raised = PyErr_CheckSignals() != 0;
  in_handler = false;
  if (!raised) return {};
  // Fetched to be named, and set again for blocking(), in this very thread.
  py::error_already_set exception;
  std::string reason =
      "a signal interrupted the call: " + std::string(py::str(exception.type().attr("__name__")));
  exception.restore();
  return reason;
}

void refuse_in_handler() {
  if (!in_handler) return;
  refuse(
      "a signal's handler used a communicator in the middle of another call: a handler may call "
      "abort(), or raise an exception");
}

}  // namespace paceline::python
