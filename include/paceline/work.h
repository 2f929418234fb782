// A call that is under way.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "paceline/export.h"

namespace paceline {

namespace engine {
class Completion;
}
class CommunicatorCore;

/// The handle of an asynchronous call. Its buffers belong to the operation until it is
/// done: do not read the output, do not touch either. Movable; dropping it without wait() is
/// allowed only after done() returned true: otherwise the destructor waits, and swallows the
/// error (it is kept by the Communicator, whose next call throws it).
/// One thread at a time per Work; different Works may be used by different threads.
class [[nodiscard("dropping a Work waits for it")]] PACELINE_API Work {
 public:
  Work() = default;
  Work(std::shared_ptr<CommunicatorCore> core, std::shared_ptr<engine::Completion> operation);
  Work(Work &&) noexcept;
  Work& operator=(Work&&) noexcept;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  ~Work();

  /// True once the operation succeeded or failed; never blocks. Makes progress if nobody else is.
  [[nodiscard]] bool done();

  /// Blocks, making progress in this thread, until the operation is done. Throws its Error if it
  /// failed. May be called again.
  void wait();

  /// The same for at most `longest`; false if it is not done by then, and goes on.
  bool wait_for(std::chrono::nanoseconds longest);

  /// Calls `function` once, when the operation succeeded or failed: in this thread if it has
  /// already, else in the one that makes progress, mostly the library's own. So it must be short,
  /// and must neither throw nor call the library. It may be called after the Work has gone.
  void on_done(std::function<void()> function);

  /// Starts the same call (or group) on the same buffers again, as all ranks do: a plan made once,
  /// started many times, with nothing to look up. Throws invalid_argument before the operation is
  /// done, and for a send or recv.
  void restart();

 private:
  std::shared_ptr<CommunicatorCore> core_;
  std::shared_ptr<engine::Completion> operation_;
};

}  // namespace paceline
