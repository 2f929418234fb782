// One rank's side of a communicator: owns the parts, and says who moves them.
//
// Ownership of progress. `lock_` guards the engine, the links and the registrations. Whoever holds
// it is the owner of progress: a thread in a blocking call or in Work::wait() holds it until its
// operation is finished; otherwise the service thread takes it, when it is free, for operations
// that nobody waits for. Nobody ever waits for the service thread.
//
// Failure. News of a failure comes from below (poll throws) or over the bootstrap (a notice, on
// the service thread). What comes from below is first a suspicion, if it may have a cause that
// somebody else knows better: a broken wire waits a moment for news, a passed deadline asks all
// ranks what they are doing, and the verdict is the news. Then the owner of progress concludes: it
// closes the links and the registrations, and only then fails the operations, so that nothing is
// written into the caller's memory once wait() has thrown.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/fork.h"
#include "base/log.h"
#include "base/service_thread.h"
#include "bootstrap/bootstrap.h"
#include "collectives/choice.h"
#include "communicator/arguments.h"
#include "communicator/fusion.h"
#include "communicator/known_call.h"
#include "communicator/links.h"
#include "communicator/message_arguments.h"
#include "communicator/roster.h"
#include "communicator/status_door.h"
#include "communicator/uneven.h"
#include "communicator/watchers.h"
#include "engine/crowd.h"
#include "engine/engine.h"
#include "engine/waiter.h"
#include "memory/registrar.h"
#include "paceline/communicator.h"
#include "paceline/history.h"

namespace paceline {

struct Testimony;

class CommunicatorCore : public std::enable_shared_from_this<CommunicatorCore> {
 public:
  /// `tuning`: that of the communicator which this one is made of, if it is, in place of a file:
  /// another rank 0 may not have the file.
  static std::shared_ptr<CommunicatorCore> create(const Config& config,
                                                  std::shared_ptr<Store> store,
                                                  const std::string& name,
                                                  const TuningText* tuning = nullptr);
  ~CommunicatorCore();

  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] const Roster& roster() const { return roster_; }
  [[nodiscard]] std::vector<Wire> wires() const { return links_->wires(); }
  /// For blocks of `bytes`; the same on all ranks.
  [[nodiscard]] Algorithm choose_algorithm(Collective collective, std::size_t bytes) const {
    return choices_.at(collective, bytes).algorithm;
  }
  [[nodiscard]] memory::Registrar& registrar() { return *registrar_; }

  // forked.cpp
  /// Throws in a child of the process that made it.
  void require_own_process() const {
    if (made_by_.foreign()) [[unlikely]]
      throw_forked();
  }
  [[nodiscard]] bool forked() const { return made_by_.foreign(); }
  /// Drops a reference; in such a child keeps it for ever, since nothing may be destroyed there.
  static void let_go(std::shared_ptr<CommunicatorCore> core) noexcept;

  // history.cpp
  [[nodiscard]] std::vector<OperationRecord> history() const;
  void write_history(const std::string& path, HistoryFormat format) const;

  /// Checks the arguments and runs the call to its end in this thread; throws its Error. In a group
  /// only collects it.
  void run(const Arguments& arguments);
  void run_uneven(const UnevenArguments& arguments) { run_ready(ready(arguments)); }
  /// Checks the arguments and starts the call.
  std::shared_ptr<engine::Operation> start(const Arguments& arguments) {
    return start_ready(ready(arguments));
  }
  std::shared_ptr<engine::Operation> start_uneven(const UnevenArguments& arguments) {
    return start_ready(ready(arguments));
  }
  /// Starts the call of a finished operation again.
  void restart(const std::shared_ptr<engine::Operation>& operation);

  // group.cpp
  void group_begin();
  void group_cancel();
  /// Lock held. Throws if a group is open.
  void refuse_in_group(const char* what) const;
  void group_end();
  /// The last of the group's operations; null if it has none.
  std::shared_ptr<engine::Operation> group_end_async();
  std::shared_ptr<engine::Operation> launch_group();

  /// The same for a send or recv, of checked arguments. In a group it starts at once, and the end
  /// of the group waits for it. point_to_point.cpp
  void run_message(const MessageArguments& arguments);
  std::shared_ptr<engine::Message> start_message(const MessageArguments& arguments);

  void wait(engine::Completion& operation);
  bool done(engine::Completion& operation);

  // waiting.cpp
  bool wait_for(engine::Completion& operation, Nanoseconds longest);
  void on_done(const std::shared_ptr<engine::Completion>& operation,
               std::function<void()> function);
  void while_waiting(std::function<std::string()> ask);

  [[nodiscard]] Usage usage();

  void abort(const std::string& reason);
  /// What ~Communicator does; idempotent.
  void leave() noexcept;
  [[nodiscard]] bool failed() const { return noticed_.load(std::memory_order_acquire); }

  /// Service thread: what this rank, or all ranks, are doing, as JSON; `done` is called once, also
  /// on the service thread. status.cpp
  void describe_status(bool all_ranks, std::function<void(std::string)> done);

  /// split.cpp; null for a negative colour.
  [[nodiscard]] std::shared_ptr<CommunicatorCore> split(int color, int key);

  // after a failure: survivors.cpp
  [[nodiscard]] std::vector<int> survivors();
  [[nodiscard]] std::shared_ptr<CommunicatorCore> shrink();

 private:
  /// For drive(): however long it takes.
  static constexpr Nanoseconds kUntilItEnds = 0;

  [[nodiscard]] ReadyCall ready(const Arguments& arguments) const;
  [[nodiscard]] ReadyCall ready(const UnevenArguments& arguments) const;
  /// The call with the algorithm that it takes.
  [[nodiscard]] engine::Call with_algorithm(engine::Call call) const;
  void run_ready(ReadyCall call);
  /// Lock held.
  void run_now(const engine::Call& call, const engine::Buffers& buffers);
  std::shared_ptr<engine::Operation> start_ready(const ReadyCall& call);
  void resubmit(const std::shared_ptr<engine::Operation>& operation);
  CommunicatorCore(const Config& config, std::shared_ptr<Store> store, const std::string& name,
                   const TuningText* tuning);
  [[nodiscard]] collectives::Policy make_policy() const;  // algorithms.cpp

  // progress.cpp; the lock is held
  enum class Wires : std::uint8_t { move, leave };
  bool turn(Nanoseconds now, Wires wires = Wires::move);
  void examine(Nanoseconds now);
  void warn_of_stall(Nanoseconds now);
  void warn_of_waiting_message(Nanoseconds now);
  void drive(engine::Completion& operation, Nanoseconds until = kUntilItEnds);
  void go_on(engine::Completion& operation, Nanoseconds until);
  void ask_whether_to_go_on();  // waiting.cpp
  void sleep(Nanoseconds longest);
  void start_pump();
  void pump_later(Nanoseconds delay);
  void pump();

  // failure.cpp
  void on_notice(const bootstrap::FailureNotice& notice);
  void throw_if_failed();
  void throw_if_failed(engine::Completion& operation);
  // Lock held.
  void found(const Error& error);
  void suspect(const Error& error, Nanoseconds ask_after, Nanoseconds patience);
  void look_at_suspicion();
  void blame(const Error& error);
  void conclude(Error error);
  void ask_around();
  void ask_about(const engine::MessageWait& wait);
  /// By rank; nothing: no answer.
  using Answers = std::vector<std::optional<Testimony>>;
  void ask_all(std::function<void(CommunicatorCore&, Answers)> answered);
  [[nodiscard]] std::string last_calls() const;
  [[nodiscard]] Error error_from(const bootstrap::FailureNotice& notice) const;
  // Service thread.
  [[nodiscard]] Bytes testify(bootstrap::Topic topic);
  void sample();
  [[nodiscard]] std::optional<bootstrap::FailureNotice> notice();

  [[noreturn]] void throw_forked() const;  // forked.cpp
  // history.cpp
  void write_trace() noexcept;
  /// Once, by the first thread that is about to throw what has failed the communicator: that may
  /// end the program before the communicator ends. Lock held.
  void write_trace_of_failure() noexcept;

  const ProcessMark made_by_;
  Config config_;
  /// With a number behind it for communicators made of the survivors of an earlier one.
  const std::string name_;
  int generation_ = 0;
  int splits_ = 0;  ///< lock held
  const Logger log_;
  std::shared_ptr<std::recursive_mutex> lock_ = std::make_shared<std::recursive_mutex>();
  std::unique_ptr<bootstrap::Bootstrap> bootstrap_;
  Roster roster_;
  collectives::Choices choices_;
  std::unique_ptr<Links> links_;
  std::shared_ptr<memory::Registrar> registrar_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<ServiceClient> service_;
  std::shared_ptr<StatusDoor> door_;

  /// True while a pump is posted or under way.
  std::atomic<bool> pumping_{false};
  engine::Crowd crowd_;            ///< lock held
  std::uint32_t waits_ = 0;        ///< by drive(); lock held
  engine::Waiter pump_waiter_{2};  ///< never spins: others need the service thread
  std::vector<pollfd> descriptors_;
  Nanoseconds examined_ = 0;
  std::uint64_t warned_of_ = Error::kNoSequence;
  engine::MessageCall warned_of_message_ = {};
  bool left_ = false;
  KnownCall known_;                              ///< lock held
  std::optional<std::vector<ReadyCall>> group_;  ///< lock held: what an open group has collected
  std::vector<std::shared_ptr<engine::Message>> group_messages_;  ///< and started; lock held

  Watchers watchers_;
  std::function<std::string()> ask_;  ///< lock held: whether to go on waiting

  std::atomic<bool> noticed_{false};  ///< notice_ is set
  std::mutex notice_lock_;
  std::optional<bootstrap::FailureNotice> notice_;
  std::optional<Error> error_;   ///< lock held: what every later call throws
  bool traced_failure_ = false;  ///< lock held
  struct Suspicion {
    Error error;
    Nanoseconds until;
    Nanoseconds ask_at;  ///< when the others are asked what they know; 0 when they have been
  };
  std::optional<Suspicion> suspicion_;  ///< lock held

  /// When the service thread last saw this rank make or finish a call, or make a send or recv; its
  /// own.
  struct Sample {
    std::uint64_t entered = 0;
    std::uint64_t finished = 0;
    std::uint64_t messages = 0;
    Nanoseconds changed = 0;
    bool operator==(const Sample&) const = default;
  } sample_;
};

}  // namespace paceline
