// The interpreter's lock, and signals.
//
// Nothing here waits while it holds the interpreter's lock (GIL): whoever holds a communicator's
// progress lock may want the GIL (a reduction written in Python, a signal), so nobody may want them
// in the other order. A call that may block, or take the progress lock, therefore runs Unlocked.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "paceline/error.h"

namespace paceline::python {

namespace py = pybind11;

/// How long a wait goes on before it looks at signals again, a little less than the library's own
/// 50 ms, so that its question is never asked in between.
inline constexpr std::chrono::milliseconds kLookAtSignals{40};

/// Without the interpreter's lock from here to the end of the scope.
class Unlocked {
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() { PyEval_RestoreThread(state_); }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

/// For Communicator::while_waiting: runs the handlers of signals that have come, if this is the
/// thread that does so. If one raised, what it raised, as a text; the exception stays set.
std::string ask_python();

/// Throws Error (invalid_argument) inside of a handler that ask_python() runs: the call that it
/// interrupted is in the middle of something.
void refuse_in_handler();

/// The thread that runs the handlers of signals.
bool on_main_thread();

/// A call that may block. An exception that a signal's handler raised wins over the Error that it
/// became for the library.
template <class Call>
void blocking(Call&& call) {
  try {
    const Unlocked unlocked;
    call();
  } catch (const Error&) {
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
    throw;
  }
  if (PyErr_Occurred() != nullptr) throw py::error_already_set();
}

/// The same for calls that know nothing of while_waiting, since they meet other ranks: they run in
/// a thread of their own, which a signal leaves behind; it ends by itself, at the time-out at the
/// latest, and what it made goes with it. Else it is waited for: what it lets go of may be
/// Python's, which nobody may touch while the interpreter ends.
template <class Result>
Result interruptible(std::function<Result()> call) {
  if (!on_main_thread()) {
    const Unlocked unlocked;
    return call();
  }
  auto task = std::make_shared<std::packaged_task<Result()>>(std::move(call));
  std::future<Result> result = task->get_future();
  std::thread worker([task = std::move(task)]() mutable {
    (*task)();
    task.reset();
  });
  for (;;) {
    {
      const Unlocked unlocked;
      if (result.wait_for(kLookAtSignals) == std::future_status::ready) {
        worker.join();
        return result.get();
      }
    }
    if (PyErr_CheckSignals() == 0) continue;
    worker.detach();
    throw py::error_already_set();
  }
}

}  // namespace paceline::python
