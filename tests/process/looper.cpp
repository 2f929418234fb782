// One rank as a process of its own, for tests that kill, stop and mislead ranks: all_reduce in a
// loop, every result checked. It uses the public face only.
//
//   looper [--memory plain|allocate] [--count N] [--iterations N] [--odd-rank R --odd-count N]
//          [--watch-after-error S] [--odd-at N] [--cut-rank R] [--cut-at N] [--report yes]
//          [--shrink N] [--pass yes]
//
// --odd-rank R calls with --odd-count elements from iteration --odd-at (1) on; --cut-rank R shuts
// one of its TCP connections down, whichever, in iteration --cut-at. --report: when the
// communicator stands, and again at the end, a line of numbers, which report() explains. --shrink:
// after an Error go on with the ranks that are left, at most N times. --pass: instead of all_reduce
// each rank sends to the next one and receives from the one before.
//
// Exit codes: 0 all iterations done; 1 a result was wrong; 2 bad usage; 3 a paceline::Error, whose
// code and text stand on stderr; 4 a buffer changed after the Error was thrown.
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "paceline/paceline.hpp"

namespace {

using namespace paceline;
using Clock = std::chrono::steady_clock;

constexpr int kDone = 0;
constexpr int kWrong = 1;
constexpr int kUsage = 2;
constexpr int kError = 3;
constexpr int kTouched = 4;

// No sum that the ranks compute has this byte in all places, so a late write is seen.
constexpr std::byte kPattern{0xA5};
// A driver that waits for the ranks to be under way reads this often.
constexpr auto kSayEvery = std::chrono::milliseconds(100);
// Prime, so that chunks and segments do not line up with it: one that is in another's place shows.
constexpr std::uint64_t kPeriod = 251;

struct Options {
  bool plain = false;
  std::size_t count = 1 << 16;
  std::uint64_t iterations = 0;  // 0: until something fails
  int odd_rank = Error::kNoRank;
  std::size_t odd_count = 0;
  std::uint64_t odd_at = 1;
  int cut_rank = Error::kNoRank;
  std::uint64_t cut_at = 1;
  bool report = false;
  bool pass = false;
  int shrink = 0;
  double watch_seconds = 0;
};

// Input and output of the calls, in either kind of memory.
class Buffers {
 public:
  Buffers(Communicator& comm, const Options& options) {
    if (options.plain) {
      plain_.resize(2 * options.count);
      all_ = plain_;
    } else {
      allocated_ = comm.allocate(2 * options.count * sizeof(float));
      all_ = allocated_.as<float>();
    }
  }
  [[nodiscard]] std::span<float> in() const { return all_.first(all_.size() / 2); }
  [[nodiscard]] std::span<float> out() const { return all_.last(all_.size() / 2); }
  [[nodiscard]] std::span<std::byte> bytes() const { return std::as_writable_bytes(all_); }

 private:
  std::vector<float> plain_;
  Memory allocated_;
  std::span<float> all_;
};

// What every rank contributes besides its number, element by element: (i + iteration) % kPeriod.
// Counted and not divided, so that the ranks spend most of their time in calls.
class Contributions {
 public:
  explicit Contributions(std::uint64_t iteration) : value_(iteration % kPeriod) {}
  float next() {
    const auto value = static_cast<float>(value_);
    value_ = value_ + 1 == kPeriod ? 0 : value_ + 1;
    return value;
  }

 private:
  std::uint64_t value_;
};

// All values and sums are small whole numbers: exact.
void fill(std::span<float> in, int rank, std::uint64_t iteration) {
  Contributions contributions(iteration);
  for (float& x : in) x = static_cast<float>(rank) + contributions.next();
}

bool right(std::span<const float> out, int size, std::uint64_t iteration) {
  const float ranks = static_cast<float>(size * (size - 1) / 2);
  Contributions contributions(iteration);
  return std::all_of(out.begin(), out.end(), [&](float x) {
    return x == ranks + static_cast<float>(size) * contributions.next();
  });
}

// Breaks a wire under the library's feet: the first connected TCP socket from a random place on.
void cut_a_connection() {
  constexpr int kDescriptors = 1024;
  const auto start =
      static_cast<int>(Clock::now().time_since_epoch().count() / 1000 % kDescriptors);
  for (int i = 0; i < kDescriptors; ++i) {
    const int fd = (start + i) % kDescriptors;
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) continue;
    if (address.ss_family != AF_INET && address.ss_family != AF_INET6) continue;
    ::shutdown(fd, SHUT_RDWR);
    return;
  }
}

// In a circle; true if what came is what the one before has sent.
bool pass(Communicator& comm, std::span<const float> in, std::span<float> out,
          std::uint64_t iteration) {
  const int previous = (comm.rank() + comm.size() - 1) % comm.size();
  Work sent = comm.send_async(in, (comm.rank() + 1) % comm.size());
  comm.recv(out, previous);
  sent.wait();
  Contributions contributions(iteration);
  return std::all_of(out.begin(), out.end(), [&](float x) {
    return x == static_cast<float>(previous) + contributions.next();
  });
}

bool reduce(Communicator& comm, std::span<const float> in, std::span<float> out,
            std::uint64_t iteration) {
  comm.all_reduce(in, out, ReduceOp::sum);
  return right(out, comm.size(), iteration);
}

int loop(Communicator& comm, const Options& options, const Buffers& buffers) {
  Clock::time_point said{};
  for (std::uint64_t n = 0; options.iterations == 0 || n < options.iterations; ++n) {
    const bool odd = comm.rank() == options.odd_rank && n >= options.odd_at;
    if (comm.rank() == options.cut_rank && n == options.cut_at) cut_a_connection();
    const std::size_t count = odd ? options.odd_count : options.count;
    fill(buffers.in(), comm.rank(), n);
    const auto step = options.pass ? pass : reduce;
    if (!step(comm, buffers.in().first(count), buffers.out().first(count), n)) {
      std::fprintf(stderr, "wrong result in iteration %llu\n", static_cast<unsigned long long>(n));
      return kWrong;
    }
    if (Clock::now() - said < kSayEvery) continue;
    said = Clock::now();
    std::printf("iteration %llu\n", static_cast<unsigned long long>(n));
  }
  std::printf("done\n");
  return kDone;
}

void tell(const Error& error) {
  std::fprintf(stderr, "error %s: %s\n", std::string(to_string(error.code())).c_str(),
               error.what());
}

// After an Error nobody but us may write into our buffers.
int watch(std::span<std::byte> bytes, double seconds) {
  std::fill(bytes.begin(), bytes.end(), kPattern);
  std::printf("watching\n");
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  do {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const auto changed =
        std::find_if(bytes.begin(), bytes.end(), [](std::byte b) { return b != kPattern; });
    if (changed != bytes.end()) {
      std::fprintf(stderr, "byte %zd changed after the error\n",
                   static_cast<std::ptrdiff_t>(changed - bytes.begin()));
      return kTouched;
    }
  } while (Clock::now() < end);
  std::printf("buffers untouched\n");
  return kError;
}

std::size_t entries(const char* directory) {
  const auto all = std::filesystem::directory_iterator(directory);
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// What of the process is in memory and belongs to nobody else, in KiB.
std::size_t private_kib() {
  std::ifstream file("/proc/self/smaps_rollup");
  std::size_t sum = 0;
  for (std::string word; file >> word;) {
    std::size_t kib = 0;
    if (word.starts_with("Private_") && file >> kib) sum += kib;
  }
  return sum;
}

// "WHEN at T: R rounds, C control links, L links, D descriptors of them, F open files, N threads,
// K KiB private, B bytes in links": T in seconds of a clock that all processes share.
void report(const Communicator& comm, const char* when) {
  const Usage usage = comm.usage();
  const double now = std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
  std::printf(
      "%s at %.3f: %d rounds, %d control links, %d links, %d descriptors of them, %zu open files, "
      "%zu threads, %zu KiB private, %zu bytes in links\n",
      when, now, usage.rounds, usage.control_links, usage.links, usage.descriptors,
      entries("/proc/self/fd"), entries("/proc/self/task"), private_kib(), usage.link_bytes);
}

int run(const Options& options) {
  Communicator comm = Communicator::from_environment();
  if (options.report) report(comm, "ready");
  for (int left = options.shrink; left > 0; --left) {
    const Buffers buffers(comm, options);
    try {
      return loop(comm, options, buffers);
    } catch (const Error& error) {
      tell(error);
      comm = comm.shrink();
      std::printf("went on as rank %d of %d\n", comm.rank(), comm.size());
    }
  }
  const Buffers buffers(comm, options);
  try {
    const int code = loop(comm, options, buffers);
    if (options.report) report(comm, "end");
    return code;
  } catch (const Error& error) {
    tell(error);
    return options.watch_seconds > 0 ? watch(buffers.bytes(), options.watch_seconds) : kError;
  }
}

int usage(const std::string& what) {
  std::fprintf(stderr, "looper: %s; see the top of looper.cpp\n", what.c_str());
  return kUsage;
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // a line counts even if we are killed after it
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 == argc) return usage(flag + " needs a value");
    const char* value = argv[i + 1];
    if (flag == "--memory") {
      options.plain = std::strcmp(value, "plain") == 0;
    } else if (flag == "--count") {
      options.count = std::strtoull(value, nullptr, 10);
    } else if (flag == "--iterations") {
      options.iterations = std::strtoull(value, nullptr, 10);
    } else if (flag == "--odd-rank") {
      options.odd_rank = std::atoi(value);
    } else if (flag == "--odd-count") {
      options.odd_count = std::strtoull(value, nullptr, 10);
    } else if (flag == "--shrink") {
      options.shrink = std::atoi(value);
    } else if (flag == "--report") {
      options.report = std::strcmp(value, "yes") == 0;
    } else if (flag == "--pass") {
      options.pass = std::strcmp(value, "yes") == 0;
    } else if (flag == "--odd-at") {
      options.odd_at = std::strtoull(value, nullptr, 10);
    } else if (flag == "--cut-rank") {
      options.cut_rank = std::atoi(value);
    } else if (flag == "--cut-at") {
      options.cut_at = std::strtoull(value, nullptr, 10);
    } else if (flag == "--watch-after-error") {
      options.watch_seconds = std::strtod(value, nullptr);
    } else {
      return usage("unknown flag " + flag);
    }
  }
  if (options.odd_count > options.count) return usage("--odd-count is above --count");
  try {
    return run(options);
  } catch (const Error& error) {
    tell(error);
    return kError;
  }
}
