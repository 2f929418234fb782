// How long 8 bytes take from one process to another through the shared-memory wire, against the
// least that the machine allows: one cache line that goes to and fro between two bare loops.
//
//   shm_pingpong [rounds] [cpu-a cpu-b]
//
// Prints nanoseconds one way: the median and the least of the batches.
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/clock.h"
#include "base/layout.h"
#include "transport_shm/shm_transport.h"

namespace {

using namespace paceline;
using namespace paceline::transport;

constexpr int kBatches = 31;
/// Rounds per batch: few, so that most batches fit between two interruptions of a busy machine.
constexpr std::uint64_t kRounds = 300;

/// What both processes see of the bare loop, and where they tell each other of memory.
struct Shared {
  struct alignas(kLinePair) Line {
    std::atomic<std::uint64_t> value;
  };
  Line ping;
  Line pong;
};

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  if (::sched_setaffinity(0, sizeof(set), &set) != 0) std::perror("sched_setaffinity");
}

/// Runs `round(i)` in both processes in step; reports in the first.
template <class Round>
void measure(const char* what, bool reports, std::uint64_t rounds, Round round) {
  std::vector<double> batches;
  std::uint64_t i = 0;
  for (int batch = -1; batch < kBatches; ++batch) {  // the first one warms up
    const Nanoseconds start = steady_now();
    for (std::uint64_t n = 0; n < rounds; ++n) round(++i);
    const auto elapsed = static_cast<double>(steady_now() - start);
    if (batch >= 0) batches.push_back(elapsed / static_cast<double>(2 * rounds));
  }
  std::sort(batches.begin(), batches.end());
  if (reports) {
    std::printf("%-34s %8.1f ns median %8.1f ns least\n", what, batches[batches.size() / 2],
                batches.front());
  }
}

void wait_for(std::atomic<std::uint64_t>& word, std::uint64_t value) {
  while (word.load(std::memory_order_acquire) != value) pause_briefly();
}

/// Everything one of the two processes does; `first` sends first.
void play(bool first, UniqueFd socket, Shared& shared, std::uint64_t rounds) {
  auto transport = make_shm_transport({.host_id = "bench"});
  std::vector<UniqueFd> sockets;
  sockets.push_back(std::move(socket));
  auto connector =
      transport->connect(first ? 1 : 0, first ? Role::dialer : Role::listener, std::move(sockets));
  std::unique_ptr<Endpoint> endpoint;
  while ((endpoint = connector->poll()) == nullptr) ::sched_yield();

  auto& mine = first ? shared.ping.value : shared.pong.value;
  auto& peers = first ? shared.pong.value : shared.ping.value;
  measure("bare cache line", first, rounds, [&](std::uint64_t i) {
    if (!first) wait_for(peers, i);
    mine.store(i, std::memory_order_release);
    if (first) wait_for(peers, i);
  });

  const auto send = [&](std::uint64_t i) {
    while (!endpoint->send({}, std::as_bytes(std::span(&i, 1)))) pause_briefly();
  };
  const auto receive = [&](std::uint64_t i) {
    while (endpoint->front().empty()) {
      transport->progress();
      pause_briefly();
    }
    std::uint64_t got = 0;
    std::memcpy(&got, endpoint->front().data(), sizeof(got));
    endpoint->pop();
    if (got != i) std::abort();
  };
  measure("message of 8 bytes", first, rounds, [&](std::uint64_t i) {
    if (!first) receive(i);
    send(i);
    if (first) receive(i);
  });

  const auto arrive = [&](std::uint64_t i) {
    while (endpoint->arrived(0) < i) {
      transport->progress();
      pause_briefly();
    }
  };
  measure("signal", first, rounds, [&](std::uint64_t i) {
    if (!first) arrive(i);
    (void)endpoint->signal(0);
    if (first) arrive(i);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t rounds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : kRounds;
  const int cpus[2] = {argc > 3 ? std::atoi(argv[2]) : 0, argc > 3 ? std::atoi(argv[3]) : 1};
  int ends[2];
  void* pages =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED ||
      ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
    std::perror("shm_pingpong");
    return 1;
  }
  auto& shared = *new (pages) Shared{};
  UniqueFd first(ends[0]);
  UniqueFd second(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    first.reset();
    pin(cpus[1]);
    play(false, std::move(second), shared, rounds);
    ::_exit(0);
  }
  second.reset();
  pin(cpus[0]);
  play(true, std::move(first), shared, rounds);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0 ? 0 : 1;
}
