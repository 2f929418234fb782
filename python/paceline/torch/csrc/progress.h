// Who moves a process group's operations along.
//
// Calls of torch's threads only put an operation in a queue. Whoever drives takes operations from
// it in that order and runs each by the library's blocking call. Messages, and operations with a
// time-out of their own, are only started, and looked after until they are over. One thread drives
// at a time: one that waits for an operation, since it has nothing better to do, else the group's
// own thread, so that operations also move while the program computes. docs/design/torch.md tells
// why.
#pragma once

#include <sys/types.h>

#include "operation.h"
#include "prefix.h"

namespace paceline::torch_backend {

class Progress {
 public:
  /// The group's own thread shares in what is returned until close().
  static std::shared_ptr<Progress> start(Communicator communicator);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Any thread. Runs a blocking operation at once where nothing is before it; else queues.
  void submit(const OperationPtr& operation);
  /// Drives until the operation is over, or for `timeout` (0: no limit); false then.
  bool wait(Operation& operation, std::chrono::milliseconds timeout);
  /// Fails the communicator on all ranks, and with it every operation.
  void abort(const std::string& reason);
  /// Fails what is not over, and leaves the group; later submissions fail. Any thread.
  void close();

  /// Throws in a child of fork(), which has neither the thread nor the communicator.
  void require_own_process() const;
  [[nodiscard]] bool own_process() const;
  /// For what is no operation (allocate, facts); throws after close().
  [[nodiscard]] std::shared_ptr<Communicator> communicator();

 private:
  /// A thread that waits while another one drives is told; this is for a driver that dies of it.
  static constexpr auto kLookAgain = std::chrono::milliseconds(50);

  using Lock = std::unique_lock<std::mutex>;

  explicit Progress(Communicator communicator);
  void run();  // the group's own thread
  void leave_wheel();
  void turn(std::vector<OperationPtr>& over);
  OperationPtr take();
  void complete(std::vector<OperationPtr>& over);
  bool run_at_once(const OperationPtr& operation);
  [[nodiscard]] bool nothing_to_do() const { return queued_.empty() && under_way_.empty(); }

  const ::pid_t process_;
  std::shared_ptr<Communicator> communicator_;  ///< null after close()
  std::mutex mutex_;
  std::condition_variable news_;
  std::deque<OperationPtr> queued_;     ///< guarded by mutex_
  std::deque<OperationPtr> under_way_;  ///< belongs to whoever drives
  bool driven_ = false;                 ///< guarded by mutex_, as is the next
  bool closed_ = false;
  std::atomic<int> waiting_{0};  ///< threads in wait(), which go first; changes under mutex_
  std::atomic<bool> anything_queued_{false};  ///< so that a turn does without the lock
  std::atomic<bool> closing_{false};          ///< whoever drives is to stop
  std::thread thread_;
};

}  // namespace paceline::torch_backend
