// What stands behind paceline.Communicator: the Communicator, and whose memory it is using.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "array.h"
#include "paceline/communicator.h"
#include "signals.h"

namespace paceline::python {

/// Python objects that an operation needs: arrays, and functions that reduce.
using Kept = std::vector<py::object>;

/// An operation under way, and what must outlive it.
struct Pending {
  Work work;
  Kept kept;
};

/// Methods are called with the interpreter's lock, which guards it.
class Handle {
 public:
  explicit Handle(Communicator communicator);
  ~Handle() { close(); }

  /// Keeps the Communicator alive while another thread closes this. Throws after close(), and in
  /// handlers of signals.
  std::shared_ptr<Communicator> get();
  /// For what a handler may do.
  std::shared_ptr<Communicator> get_anywhere();
  void close();
  [[nodiscard]] bool closed() const { return communicator_ == nullptr; }

  // Facts stay after close().
  const int rank;
  const int size;
  const int hosts;
  const int ranks_on_host;

  /// Takes over an operation that nobody waits for any more. It is let go once it has ended, which
  /// is looked for at every call.
  void adopt(Pending pending);

  /// Between the begin and the end of a group: what its calls use.
  std::optional<Kept> group;

 private:
  void sweep();

  std::vector<Pending> orphans_;
  std::shared_ptr<Communicator> communicator_;  ///< null once closed
};

/// Work of Python's.
class PendingWork {
 public:
  PendingWork(std::shared_ptr<Handle> handle, Pending pending)
      : handle_(std::move(handle)), pending_(std::move(pending)) {}
  ~PendingWork();
  PendingWork(const PendingWork&) = delete;
  PendingWork& operator=(const PendingWork&) = delete;

  bool done();
  /// False if `seconds` passed first.
  bool wait(std::optional<double> seconds);
  void restart();
  Work& work() { return pending_.work; }

 private:
  std::shared_ptr<Handle> handle_;
  Pending pending_;
};

/// Runs a call, or starts it: `run(communicator)` returns nothing, `start(communicator)` Work.
/// Gives None, or a PendingWork.
template <class Run, class Start>
py::object launch(const std::shared_ptr<Handle>& handle, Kept kept, bool async, const Run& run,
                  const Start& start) {
  const std::shared_ptr<Communicator> communicator = handle->get();
  if (async) {
    Work work;
    blocking([&] { work = start(*communicator); });
    return py::cast(
        std::make_unique<PendingWork>(handle, Pending{std::move(work), std::move(kept)}));
  }
  blocking([&] { run(*communicator); });
  if (handle->group) [[unlikely]] {
    std::move(kept.begin(), kept.end(), std::back_inserter(*handle->group));
  }
  return py::none();
}

/// What Python gets of the communicator that a call made.
std::shared_ptr<Handle> make_handle(Communicator communicator);

void bind_communicator(py::module_& module);
void bind_collectives(py::class_<Handle, std::shared_ptr<Handle>>& type);
void bind_uneven(py::class_<Handle, std::shared_ptr<Handle>>& type);
void bind_records(py::class_<Handle, std::shared_ptr<Handle>>& type);
void bind_work(py::module_& module);
void bind_memory(py::module_& module, py::class_<Handle, std::shared_ptr<Handle>>& type);

}  // namespace paceline::python
