// Operations under way, and how asyncio hears of their end: through a descriptor that the thread
// which makes progress writes to, so that no thread of the library ever needs the interpreter.
#include <sys/eventfd.h>
#include <unistd.h>

#include <pybind11/stl.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>

#include "errors.h"
#include "handle.h"

namespace paceline::python {

namespace {

using Clock = std::chrono::steady_clock;

/// An eventfd. Shared with the operations that write to it, which may end after their loop.
class Notifier {
 public:
  Notifier() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ < 0) {
      throw Error(ErrorCode::out_of_memory,
                  std::string("no descriptor for an event loop: eventfd: ") + std::strerror(errno) +
                      "; raise ulimit -n");
    }
  }
  ~Notifier() { ::close(fd_); }
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  [[nodiscard]] int fileno() const { return fd_; }
  void ring() const { (void)::eventfd_write(fd_, 1); }
  void drain() const {
    eventfd_t count = 0;
    (void)::eventfd_read(fd_, &count);
  }

 private:
  int fd_;
};

void notify(PendingWork& self, const std::shared_ptr<Notifier>& notifier) {
  refuse_in_handler();
  blocking([&] { self.work().on_done([notifier] { notifier->ring(); }); });
}

// From a time-out in seconds; a year stands for everything longer.
std::chrono::nanoseconds duration(double seconds) {
  constexpr double kYear = 365.0 * 24 * 3600;
  if (std::isnan(seconds))
    refuse("timeout is not a number: give seconds, or None to wait for ever");
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(std::clamp(seconds, 0.0, kYear)));
}

}  // namespace

PendingWork::~PendingWork() {
  bool over = true;
  try {
    over = pending_.work.done();
  } catch (const Error&) {
    // A child of fork(): destroying it does nothing there.
  }
  if (!over) handle_->adopt(std::move(pending_));
}

bool PendingWork::done() {
  refuse_in_handler();
  bool over = false;
  blocking([&] { over = pending_.work.done(); });
  return over;
}

// In slices: between two of them signals are looked at, and one that raises leaves the operation
// going on.
bool PendingWork::wait(std::optional<double> seconds) {
  refuse_in_handler();
  const auto limit = seconds ? duration(*seconds) : std::chrono::nanoseconds::max();
  const auto begin = Clock::now();
  for (;;) {
    const auto left = seconds ? limit - (Clock::now() - begin) : limit;
    const auto slice =
        std::clamp<std::chrono::nanoseconds>(left, std::chrono::nanoseconds(0), kLookAtSignals);
    bool over = false;
    blocking([&] { over = pending_.work.wait_for(slice); });
    if (over) return true;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (left <= slice) return false;
  }
}

void PendingWork::restart() {
  refuse_in_handler();
  blocking([&] { pending_.work.restart(); });
}

void bind_work(py::module_& module) {
  py::class_<Notifier, std::shared_ptr<Notifier>>(module, "Notifier")
      .def(py::init<>())
      .def("fileno", &Notifier::fileno)
      .def("drain", &Notifier::drain);
  py::class_<PendingWork>(module, "Work")
      .def("done", &PendingWork::done)
      .def("wait", &PendingWork::wait)
      .def("restart", &PendingWork::restart)
      .def("notify", &notify);
}

}  // namespace paceline::python
