// One call of torch's: what torch knows as Work, and what progress.h makes of it.
#pragma once

#include "prefix.h"

namespace paceline::torch_backend {

class Progress;

/// Holds its tensors until it is over. Made by the caller's thread, completed by whichever thread
/// drives the group's progress.
class Operation : public c10d::Work {
 public:
  /// Runs the library's call to its end in this thread, or only starts it.
  enum class Mode : std::uint8_t { run, start };
  using Launch = std::function<paceline::Work(Communicator&, Mode)>;

  struct Call {
    c10d::OpType type = c10d::OpType::UNKNOWN;
    const char* name = "";                ///< "paceline:all_reduce", for torch's profiler
    std::vector<at::Tensor> results;      ///< what the future resolves to
    std::vector<at::Tensor> kept;         ///< alive until the end: inputs, copies
    Launch launch;                        ///< empty: nothing to do
    std::function<void()> afterwards;     ///< copies out; only after success
    std::chrono::milliseconds timeout{};  ///< from the call on; 0: the library's own alone
    bool blocking = false;                ///< the caller waits at once
    bool polled = false;                  ///< others must not wait for its end
  };

  Operation(int rank, std::uint64_t sequence, Call call, std::weak_ptr<Progress> progress);

  // --- torch's side ------------------------------------------------------------------------------
  bool wait(std::chrono::milliseconds timeout) override;
  void synchronize() override;
  void abort() override;
  std::vector<at::Tensor> result() override;
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override;
  std::uint64_t getSequencenumber() const override { return sequence_; }

  // --- whoever drives
  // ------------------------------------------------------------------------------
  /// Calls the library. Does not throw: what goes wrong is kept for complete().
  void launch(Communicator& communicator, Mode mode);
  /// Whether it is over, by a turn of the library's. Passes the deadline on as an abort.
  bool poll(Communicator& communicator);
  /// The Work is completed, with the outcome of launch() and poll(). By whoever drives, so that no
  /// later one is completed before. Once.
  void complete();
  /// Instead: it has never been launched, or never will be over.
  void complete_with(std::exception_ptr error);
  /// After either: the Future is, too. Runs callbacks of others, so that no lock is held and nobody
  /// drives meanwhile.
  void tell();

  /// Its caller waits at once.
  [[nodiscard]] bool blocking() const { return call_.blocking; }
  /// It is started and looked after, instead of run.
  [[nodiscard]] bool polled() const { return call_.polled; }

 private:
  Call call_;
  std::uint64_t sequence_;
  std::weak_ptr<Progress> progress_;
  c10::intrusive_ptr<c10::ivalue::Future> future_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  paceline::Work handle_;
  std::exception_ptr error_;
};

using OperationPtr = c10::intrusive_ptr<Operation>;

}  // namespace paceline::torch_backend
