#include "progress.h"

#include <pthread.h>
#include <unistd.h>

#include "errors.h"
#include "patience.h"

namespace paceline::torch_backend {

namespace {

constexpr const char* kClosed =
    "this process group is destroyed: destroy_process_group() or shutdown() was called. Make a new "
    "one by init_process_group() or new_group()";

/// For calls under way when the group is destroyed: the others may be about to take part.
constexpr auto kGrace = std::chrono::seconds(2);

std::exception_ptr closed_error() {
  return as_torch_error(Error(ErrorCode::aborted, kClosed));
}

}  // namespace

Progress::Progress(Communicator communicator)
    : process_(::getpid()),
      communicator_(std::make_shared<Communicator>(std::move(communicator))) {}

std::shared_ptr<Progress> Progress::start(Communicator communicator) {
  std::shared_ptr<Progress> progress(new Progress(std::move(communicator)));
  progress->thread_ = std::thread([progress] { progress->run(); });
  ::pthread_setname_np(progress->thread_.native_handle(), "paceline_torch");
  return progress;
}

bool Progress::own_process() const {
  return ::getpid() == process_;
}

void Progress::require_own_process() const {
  if (own_process()) return;
  fail("this process group was made by process " + std::to_string(process_) +
       ", and this is its child " + std::to_string(::getpid()) +
       " by fork(), which cannot use it; start the child by the method spawn, or make a process "
       "group of its own there");
}

std::shared_ptr<Communicator> Progress::communicator() {
  require_own_process();
  const Lock lock(mutex_);
  if (closed_) std::rethrow_exception(closed_error());
  return communicator_;
}

void Progress::abort(const std::string& reason) {
  require_own_process();
  std::shared_ptr<Communicator> communicator;
  {
    const Lock lock(mutex_);
    communicator = communicator_;
  }
  if (communicator != nullptr) communicator->abort(reason);
}

void Progress::submit(const OperationPtr& operation) {
  require_own_process();
  if (operation->blocking() && run_at_once(operation)) return;
  const Lock lock(mutex_);
  if (closed_) std::rethrow_exception(closed_error());
  queued_.push_back(operation);
  anything_queued_.store(true, std::memory_order_release);
  if (!driven_ && waiting_ == 0) news_.notify_all();
}

// A call that its caller waits for, with nothing before it: the library's blocking call in this
// thread, with nobody to wake. Others' operations wait meanwhile, as they would behind it anyway.
bool Progress::run_at_once(const OperationPtr& operation) {
  {
    Lock lock(mutex_);
    if (closed_ || driven_ || !queued_.empty() || !under_way_.empty()) return false;
    driven_ = true;
  }
  operation->launch(*communicator_, Operation::Mode::run);
  leave_wheel();
  operation->complete();  // nobody else knows of it
  operation->tell();
  return true;
}

void Progress::leave_wheel() {
  const Lock lock(mutex_);
  driven_ = false;
  news_.notify_all();
}

// By whoever drives: one round. What is over goes to `over`.
void Progress::turn(std::vector<OperationPtr>& over) {
  if (anything_queued_.load(std::memory_order_acquire)) {
    const OperationPtr next = take();
    if (next != nullptr && next->polled()) {
      next->launch(*communicator_, Operation::Mode::start);
    } else if (next != nullptr) {
      // Nothing is under way that the library could not do meanwhile.
      next->launch(*communicator_, Operation::Mode::run);
      over.push_back(next);
    }
  }
  for (std::size_t i = 0; i < under_way_.size();) {
    if (!under_way_[i]->poll(*communicator_)) {
      ++i;
      continue;
    }
    over.push_back(std::move(under_way_[i]));
    under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

// The next operation; null if it has to wait for those under way, since it is run to its end.
OperationPtr Progress::take() {
  const Lock lock(mutex_);
  if (queued_.empty() || (!queued_.front()->polled() && !under_way_.empty())) return nullptr;
  OperationPtr next = std::move(queued_.front());
  queued_.pop_front();
  if (next->polled()) under_way_.push_back(next);
  anything_queued_.store(!queued_.empty(), std::memory_order_release);
  return next;
}

// By whoever drives, at the end of that: Works are completed before somebody else may drive, so
// that none is before an earlier one. Then whoever waits for one of them looks again. Callbacks of
// others run outside of the lock, when somebody else may drive.
void Progress::complete(std::vector<OperationPtr>& over) {
  for (const OperationPtr& each : over) each->complete();
  leave_wheel();
  for (const OperationPtr& each : over) each->tell();
  over.clear();
}

bool Progress::wait(Operation& operation, std::chrono::milliseconds timeout) {
  require_own_process();
  if (timeout.count() > 0) {  // who drives may be in the library for longer
    Lock lock(mutex_);
    return news_.wait_for(lock, timeout, [&] { return operation.isCompleted(); });
  }
  std::vector<OperationPtr> over;
  Lock lock(mutex_);
  ++waiting_;
  while (!operation.isCompleted()) {
    if (driven_ || closing_) {
      news_.wait_for(lock, kLookAgain);
      continue;
    }
    driven_ = true;
    lock.unlock();
    Patience patience(true);
    while (turn(over), over.empty() && !closing_.load()) patience.pause();
    complete(over);
    lock.lock();
  }
  --waiting_;
  if (waiting_ == 0 && !driven_ && !nothing_to_do()) news_.notify_all();
  return true;
}

void Progress::run() {
  std::vector<OperationPtr> over;
  Lock lock(mutex_);
  while (true) {
    news_.wait(lock, [this] {
      return closed_ || (!closing_ && !driven_ && waiting_ == 0 && !nothing_to_do());
    });
    if (closed_) return;
    driven_ = true;
    lock.unlock();
    Patience patience(false);
    while (turn(over), over.empty() && waiting_.load() == 0 && !closing_.load()) patience.pause();
    complete(over);
    lock.lock();
  }
}

void Progress::close() {
  std::deque<OperationPtr> left;
  std::shared_ptr<Communicator> communicator;
  {
    Lock lock(mutex_);
    closing_.store(true);
    const auto idle = [this] { return !driven_; };
    if (!news_.wait_for(lock, kGrace, idle)) {
      communicator_->abort(
          "the process group was destroyed on rank " + std::to_string(communicator_->rank()) +
          " while a call was under way: wait for all Work before destroy_process_group()");
      news_.wait(lock, idle);
    }
    if (closed_) return;
    closed_ = true;
    left.swap(under_way_);
    left.insert(left.end(), queued_.begin(), queued_.end());
    queued_.clear();
    communicator.swap(communicator_);
    news_.notify_all();
  }
  // First, so that what is under way fails: to drop it before would wait for it.
  communicator.reset();
  for (const OperationPtr& each : left) each->complete_with(closed_error());
  for (const OperationPtr& each : left) each->tell();
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();  // a callback of an operation's has destroyed the group
  } else {
    thread_.join();
  }
}

}  // namespace paceline::torch_backend
