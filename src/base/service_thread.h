// One thread per process for what must go on while nobody calls the library: heartbeats, accepts,
// handshakes, and progress for operations that nobody waits for. It sleeps in epoll_wait when
// there is nothing to do.
//
// The thread starts with the first ServiceClient and ends with the last. A callback is short and
// never blocks: it delays everybody else's. It must not throw (the process would end).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace paceline {

class ServiceLoop;

/// One user's share of the service thread. Every method may be called from any thread, and from
/// callbacks. All callbacks run on the service thread, one at a time.
///
/// After a process forked, the child has no service thread: clients inherited from the parent do
/// nothing there, new ones start a new thread.
class ServiceClient {
 public:
  using Timer = std::uint64_t;
  static constexpr Timer kNoTimer = 0;

  ServiceClient();
  /// detach().
  ~ServiceClient();
  ServiceClient(const ServiceClient&) = delete;
  ServiceClient& operator=(const ServiceClient&) = delete;

  /// Calls `function` once, soon. Posts of one thread keep their order.
  void post(std::function<void()> function);

  /// Calls `function` with the ready events whenever `fd` has any of `events` (EPOLLIN...; level
  /// triggered; EPOLLERR and EPOLLHUP always count). The fd stays the caller's: remove() it before
  /// closing it. One registration per fd.
  void add(int fd, std::uint32_t events, std::function<void(std::uint32_t)> function);
  void modify(int fd, std::uint32_t events);
  /// Called on the service thread, `function` is not called any more. From another thread a call
  /// that is already under way may still be running: see detach().
  void remove(int fd);

  /// Calls `function` once after `delay`, or every `interval`, to about a millisecond.
  Timer after(std::chrono::nanoseconds delay, std::function<void()> function);
  Timer every(std::chrono::nanoseconds interval, std::function<void()> function);
  /// Same guarantee as remove(). Cancelling what has fired or kNoTimer is fine.
  void cancel(Timer timer);

  /// Forgets everything this client asked for, and waits for a callback of its own that is under
  /// way: after it returns none runs any more. Called from the service thread it does not wait:
  /// the callback under way is then the caller itself. Later requests are ignored. Idempotent.
  void detach() noexcept;

  [[nodiscard]] bool on_service_thread() const noexcept;

 private:
  std::shared_ptr<ServiceLoop> loop_;
  std::uint64_t id_ = 0;  ///< names this client in the loop; never used twice
};

}  // namespace paceline
