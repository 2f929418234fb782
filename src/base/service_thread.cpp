#include "base/service_thread.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fork.h"
#include "base/unique_fd.h"
#include "paceline/error.h"

namespace paceline {

namespace {

/// Events taken per epoll_wait: enough that a busy loop amortises the system call, few enough
/// that timers and posts are not kept waiting.
constexpr int kEventsPerTurn = 64;

/// The epoll tag of the descriptor that wakes the thread; registrations count from 1.
constexpr std::uint64_t kWakeTag = 0;

UniqueFd checked(int fd, const char* what) {
  if (fd < 0) {
    throw Error(ErrorCode::out_of_memory, std::string("the service thread could not be started: ") +
                                              what + ": " + std::generic_category().message(errno) +
                                              "; raise the limit on open descriptors (ulimit -n)");
  }
  return UniqueFd(fd);
}

}  // namespace

// What the thread and its clients share. Everything is guarded by mutex_; callbacks are called
// without it. Functions that are dropped are destroyed without it too, since what they capture may
// call back into the loop.
class ServiceLoop {
 public:
  ServiceLoop()
      : epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
        wake_(checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kWakeTag;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
      checked(-1, "epoll_ctl");
    }
  }

  /// The process's loop; starts its thread if there is none. The deleter ends the thread.
  static std::shared_ptr<ServiceLoop> get();

  // Around a fork of the process: see the end of this file.
  static void before_fork();
  static void after_fork_in_parent();
  static void after_fork_in_child();

  std::uint64_t join() {
    std::lock_guard lock(mutex_);
    clients_.insert(++last_id_);
    return last_id_;
  }

  void post(std::uint64_t client, std::function<void()> function) {
    std::unique_lock lock(mutex_);
    if (!clients_.contains(client)) return;
    posted_.push_back({client, std::move(function)});
    lock.unlock();
    wake();
  }

  void add(std::uint64_t client, int fd, std::uint32_t events,
           std::function<void(std::uint32_t)> function) {
    std::lock_guard lock(mutex_);
    if (!clients_.contains(client)) return;
    const std::uint64_t tag = ++last_tag_;
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      throw Error(ErrorCode::internal, "epoll_ctl(add, " + std::to_string(fd) +
                                           "): " + std::generic_category().message(errno));
    }
    tags_[{client, fd}] = tag;
    watches_[tag] = std::make_shared<Watch>(Watch{client, std::move(function)});
  }

  void modify(std::uint64_t client, int fd, std::uint32_t events) {
    std::lock_guard lock(mutex_);
    const auto found = tags_.find({client, fd});
    if (found == tags_.end()) return;
    epoll_event event{};
    event.events = events;
    event.data.u64 = found->second;
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
  }

  void remove(std::uint64_t client, int fd) {
    std::shared_ptr<Watch> dropped;
    std::lock_guard lock(mutex_);
    const auto found = tags_.find({client, fd});
    if (found == tags_.end()) return;
    dropped = std::move(watches_[found->second]);
    watches_.erase(found->second);
    tags_.erase(found);
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  }

  ServiceClient::Timer add_timer(std::uint64_t client, Nanoseconds delay, Nanoseconds interval,
                                 std::function<void()> function) {
    std::unique_lock lock(mutex_);
    if (!clients_.contains(client)) return ServiceClient::kNoTimer;
    const ServiceClient::Timer id = ++last_timer_;
    const Nanoseconds due = steady_now() + delay;
    const bool first = timers_.empty() || due < timers_.begin()->first.first;
    timers_[{due, id}] =
        std::make_shared<TimerEntry>(TimerEntry{client, interval, std::move(function)});
    due_[id] = due;
    lock.unlock();
    if (first) wake();
    return id;
  }

  void cancel(ServiceClient::Timer timer) {
    std::shared_ptr<TimerEntry> dropped;
    std::lock_guard lock(mutex_);
    const auto found = due_.find(timer);
    if (found == due_.end()) return;
    const auto entry = timers_.find({found->second, timer});
    dropped = std::move(entry->second);
    timers_.erase(entry);
    due_.erase(found);
  }

  void detach(std::uint64_t client) {
    std::vector<std::shared_ptr<Watch>> watches;
    std::vector<std::shared_ptr<TimerEntry>> timers;
    std::vector<Posted> posted;
    std::unique_lock lock(mutex_);
    if (clients_.erase(client) == 0) return;
    for (auto it = tags_.lower_bound({client, -1}); it != tags_.end() && it->first.first == client;
         it = tags_.erase(it)) {
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, it->first.second, nullptr);
      watches.push_back(std::move(watches_[it->second]));
      watches_.erase(it->second);
    }
    for (auto it = timers_.begin(); it != timers_.end();) {
      if (it->second->client == client) {
        timers.push_back(std::move(it->second));
        due_.erase(it->first.second);
        it = timers_.erase(it);
      } else {
        ++it;
      }
    }
    for (Posted& p : posted_) {
      if (p.client == client) posted.push_back(std::exchange(p, {}));
    }
    if (!on_thread()) idle_.wait(lock, [&] { return running_ != client; });
    lock.unlock();
  }

  [[nodiscard]] bool on_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

  /// In a forked child: the thread is not here, the epoll set is still the parent's, and the mutex
  /// may be locked for ever. Nothing of this object may be touched.
  [[nodiscard]] bool foreign() const { return process_.foreign(); }

 private:
  struct Watch {
    std::uint64_t client;
    std::function<void(std::uint32_t)> function;
  };
  struct TimerEntry {
    std::uint64_t client;
    Nanoseconds interval;  // 0: once
    std::function<void()> function;
  };
  struct Posted {
    std::uint64_t client = 0;
    std::function<void()> function;
  };

  void wake() {
    const std::uint64_t one = 1;
    // A full counter (EAGAIN) wakes as well.
    (void)!::write(wake_.get(), &one, sizeof one);
  }

  // Marks whose callback runs, so that detach() can wait for its end.
  template <class Call>
  void run(std::unique_lock<std::mutex>& lock, std::uint64_t client, Call&& call) {
    running_ = client;
    lock.unlock();
    call();
    lock.lock();
    running_ = 0;
    idle_.notify_all();
  }

  int sleep_milliseconds() {
    std::lock_guard lock(mutex_);
    if (!posted_.empty()) return 0;
    if (timers_.empty()) return -1;
    const Nanoseconds left = timers_.begin()->first.first - steady_now();
    if (left <= 0) return 0;
    // Rounded up: rounding down would spin through the last millisecond.
    constexpr Nanoseconds kLongest = 3600 * kSecond;
    return static_cast<int>((std::min(left, kLongest) + kMillisecond - 1) / kMillisecond);
  }

  void run_watches(const epoll_event* events, int count) {
    for (int i = 0; i < count; ++i) {
      // A copy: the kernel's structure is packed, and no reference may be bound to its fields.
      const std::uint64_t tag = events[i].data.u64;
      if (tag == kWakeTag) {
        std::uint64_t drained;
        (void)!::read(wake_.get(), &drained, sizeof drained);
        continue;
      }
      std::shared_ptr<Watch> watch;
      std::unique_lock lock(mutex_);
      const auto found = watches_.find(tag);
      if (found == watches_.end()) continue;  // removed by an earlier callback of this turn
      watch = found->second;
      run(lock, watch->client, [&] { watch->function(events[i].events); });
      lock.unlock();
    }
  }

  void run_timers() {
    const Nanoseconds now = steady_now();
    for (;;) {
      std::shared_ptr<TimerEntry> timer;
      std::unique_lock lock(mutex_);
      if (timers_.empty() || timers_.begin()->first.first > now) return;
      const auto [due, id] = timers_.begin()->first;
      timer = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
      due_.erase(id);
      if (timer->interval > 0) {
        // A thread that was held up does not make up for missed turns.
        const Nanoseconds next = std::max(due + timer->interval, now + 1);
        timers_[{next, id}] = timer;
        due_[id] = next;
      }
      run(lock, timer->client, [&] { timer->function(); });
      lock.unlock();
    }
  }

  void run_posted() {
    std::size_t left = 0;
    {
      std::lock_guard lock(mutex_);
      left = posted_.size();
    }
    for (; left > 0; --left) {
      Posted next;
      std::unique_lock lock(mutex_);
      if (posted_.empty()) return;
      next = std::move(posted_.front());
      posted_.pop_front();
      if (next.client == 0) continue;  // its client has detached
      run(lock, next.client, [&] { next.function(); });
      lock.unlock();
    }
  }

  void main() {
    std::array<epoll_event, kEventsPerTurn> events;
    for (;;) {
      {
        // Before the sleep, not after it: a wake that came with other news is used up by then.
        std::lock_guard lock(mutex_);
        if (stop_) return;
      }
      const int ready =
          epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, sleep_milliseconds());
      // Descriptors before timers: what has arrived counts before a silence is judged.
      run_watches(events.data(), ready);
      run_timers();
      run_posted();
    }
  }

  static void start(const std::shared_ptr<ServiceLoop>& loop);
  void end() noexcept;

  UniqueFd epoll_;
  UniqueFd wake_;
  const ProcessMark process_;
  std::thread thread_;

  std::mutex mutex_;
  std::condition_variable idle_;
  bool stop_ = false;
  std::uint64_t running_ = 0;
  std::uint64_t last_id_ = 0;
  std::uint64_t last_tag_ = kWakeTag;
  ServiceClient::Timer last_timer_ = ServiceClient::kNoTimer;
  std::set<std::uint64_t> clients_;
  std::map<std::pair<std::uint64_t, int>, std::uint64_t> tags_;  // (client, fd) -> tag
  std::map<std::uint64_t, std::shared_ptr<Watch>> watches_;      // by tag
  std::map<std::pair<Nanoseconds, ServiceClient::Timer>, std::shared_ptr<TimerEntry>> timers_;
  std::map<ServiceClient::Timer, Nanoseconds> due_;
  std::deque<Posted> posted_;
};

void ServiceLoop::start(const std::shared_ptr<ServiceLoop>& loop) {
  // Signals are for the application's threads: a handler that runs here would surprise both sides.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::lock_guard lock(loop->mutex_);  // thread_ is written before the thread can look at it
    loop->thread_ = std::thread([loop] {
      pthread_setname_np(pthread_self(), "paceline");
      { std::lock_guard started(loop->mutex_); }
      loop->main();
    });
  } catch (const std::system_error& e) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw Error(ErrorCode::out_of_memory,
                std::string("the service thread could not be started: ") + e.what());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void ServiceLoop::end() noexcept {
  if (foreign()) {
    // The destructor of a handle that looks joinable would end the process.
    new std::thread(std::move(thread_));
    return;
  }
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake();
  if (on_thread()) {
    thread_.detach();  // it holds the loop, finishes this turn and ends
  } else {
    thread_.join();
  }
}

namespace {

// The process's loop. Never destroyed: a Communicator in a static variable may outlive this file's.
struct TheLoop {
  std::mutex guard;
  std::weak_ptr<ServiceLoop> current;
  /// While the process forks.
  std::shared_ptr<ServiceLoop> forking;
};

TheLoop& the_loop() {
  static auto& loop = *new TheLoop;
  return loop;
}

}  // namespace

std::shared_ptr<ServiceLoop> ServiceLoop::get() {
  std::lock_guard lock(the_loop().guard);
  if (auto loop = the_loop().current.lock(); loop && !loop->foreign()) return loop;
  auto owned = std::make_shared<ServiceLoop>();
  start(owned);
  // The thread holds `owned` as well; the clients share this handle, which ends it.
  ServiceLoop* const raw = owned.get();
  std::shared_ptr<ServiceLoop> handle(raw, [owned](ServiceLoop* loop) { loop->end(); });
  the_loop().current = handle;
  return handle;
}

// A fork. The child has the loop's descriptors and not its thread: the control links and listeners
// of the parent. It must not keep them open. Peers take the end of a control link for the death of
// this process, and would hear nothing of it while a child lives on; ports would stay taken.
//
// Both locks are held over the fork, so that the child finds the table of descriptors in order, and
// can start a loop of its own.
void ServiceLoop::before_fork() {
  the_loop().guard.lock();
  auto loop = the_loop().current.lock();
  if (!loop || loop->foreign()) return;
  loop->mutex_.lock();
  the_loop().forking = std::move(loop);
}

void ServiceLoop::after_fork_in_parent() {
  const std::shared_ptr<ServiceLoop> loop = std::move(the_loop().forking);
  if (loop) loop->mutex_.unlock();
  the_loop().guard.unlock();
}

void ServiceLoop::after_fork_in_child() {
  std::shared_ptr<ServiceLoop> loop = std::move(the_loop().forking);
  the_loop().current.reset();
  if (loop) {
    for (const auto& [client_and_fd, tag] : loop->tags_) ::close(client_and_fd.second);
    loop->epoll_.reset();
    loop->wake_.reset();
    loop->mutex_.unlock();
    abandon(std::move(loop));
  }
  the_loop().guard.unlock();
}

namespace {

[[maybe_unused]] const int forks_watched = ::pthread_atfork(
    ServiceLoop::before_fork, ServiceLoop::after_fork_in_parent, ServiceLoop::after_fork_in_child);

}  // namespace

ServiceClient::ServiceClient() : loop_(ServiceLoop::get()), id_(loop_->join()) {}

ServiceClient::~ServiceClient() {
  detach();
}

void ServiceClient::post(std::function<void()> function) {
  if (!loop_->foreign()) loop_->post(id_, std::move(function));
}

void ServiceClient::add(int fd, std::uint32_t events, std::function<void(std::uint32_t)> function) {
  if (!loop_->foreign()) loop_->add(id_, fd, events, std::move(function));
}

void ServiceClient::modify(int fd, std::uint32_t events) {
  if (!loop_->foreign()) loop_->modify(id_, fd, events);
}

void ServiceClient::remove(int fd) {
  if (!loop_->foreign()) loop_->remove(id_, fd);
}

ServiceClient::Timer ServiceClient::after(std::chrono::nanoseconds delay,
                                          std::function<void()> function) {
  if (loop_->foreign()) return kNoTimer;
  return loop_->add_timer(id_, delay.count(), 0, std::move(function));
}

ServiceClient::Timer ServiceClient::every(std::chrono::nanoseconds interval,
                                          std::function<void()> function) {
  if (loop_->foreign()) return kNoTimer;
  const Nanoseconds step = std::max<Nanoseconds>(interval.count(), 1);
  return loop_->add_timer(id_, step, step, std::move(function));
}

void ServiceClient::cancel(Timer timer) {
  if (!loop_->foreign()) loop_->cancel(timer);
}

void ServiceClient::detach() noexcept {
  if (!loop_->foreign()) loop_->detach(id_);
}

bool ServiceClient::on_service_thread() const noexcept {
  return !loop_->foreign() && loop_->on_thread();
}

}  // namespace paceline
