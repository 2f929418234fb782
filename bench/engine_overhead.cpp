// What the engine costs: an all_reduce of two ranks on one host through Paceline, beside the same
// exchange written by hand over bare shared memory, in interleaved rounds of one run.
//
// The loop by hand is the least that can be done: up to 4 KiB both ranks copy their vector into a
// slot in shared memory and add the other's to it; above, each reads both inputs of its half and
// writes the sum into both outputs, with the same SIMD kernel as the library's. It checks nothing,
// cannot fail, serves two ranks, float32 and sum only.
#include <fcntl.h>
#include <immintrin.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "memory/reduce.h"
#include "paceline/paceline.hpp"

namespace {

using paceline::Communicator;

constexpr std::size_t kSizes[] = {8, 1024, 32 * 1024, 1 << 20, 128 << 20};
constexpr std::size_t kLargest = 128 << 20;
constexpr std::size_t kSlot = 4096;
constexpr int kRounds = 9;

double now_us() {
  return std::chrono::duration<double, std::micro>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// --- the loop by hand

struct Shared {
  struct alignas(128) Slot {
    std::atomic<std::uint64_t> stamp{0};
    std::byte data[kSlot];
  };
  Slot slots[2][2];  // by rank, by parity of the call
  struct alignas(128) Flag {
    std::atomic<std::uint64_t> value{0};
  };
  Flag flags[2];
  double times[2][64];  // by rank: what a round took
};

class ByHand {
 public:
  ByHand(Shared& shared, int rank, std::byte* inputs[2], std::byte* outputs[2])
      : shared_(shared), rank_(rank) {
    std::copy(inputs, inputs + 2, inputs_);
    std::copy(outputs, outputs + 2, outputs_);
  }

  void all_reduce(std::size_t bytes) { bytes <= kSlot ? small(bytes) : large(bytes); }

  void barrier() {
    ++flag_;
    shared_.flags[rank_].value.store(flag_, std::memory_order_release);
    wait(shared_.flags[1 - rank_].value, flag_);
  }

 private:
  static void wait(const std::atomic<std::uint64_t>& value, std::uint64_t at_least) {
    while (value.load(std::memory_order_acquire) < at_least) _mm_pause();
  }

  void small(std::size_t bytes) {
    const std::uint64_t call = ++calls_;
    Shared::Slot& mine = shared_.slots[rank_][call % 2];
    std::memcpy(mine.data, inputs_[rank_], bytes);
    mine.stamp.store(call, std::memory_order_release);
    const Shared::Slot& theirs = shared_.slots[1 - rank_][call % 2];
    wait(theirs.stamp, call);
    const auto* a = reinterpret_cast<const float*>(inputs_[rank_]);
    const auto* b = reinterpret_cast<const float*>(theirs.data);
    auto* out = reinterpret_cast<float*>(outputs_[rank_]);
    for (std::size_t i = 0; i < bytes / sizeof(float); ++i) out[i] = a[i] + b[i];
  }

  void large(std::size_t bytes) {
    barrier();
    const std::size_t half = bytes / 2;
    const std::size_t offset = static_cast<std::size_t>(rank_) * half;
    const std::byte* sources[] = {inputs_[0] + offset, inputs_[1] + offset};
    std::byte* destinations[] = {outputs_[0] + offset, outputs_[1] + offset};
    paceline::memory::reduce(paceline::DataType::float32, paceline::ReduceOp::sum, sources,
                             destinations, half / sizeof(float));
    barrier();
  }

  Shared& shared_;
  int rank_;
  std::byte* inputs_[2];
  std::byte* outputs_[2];
  std::uint64_t calls_ = 0;
  std::uint64_t flag_ = 0;
};

// --- counting instructions

class InstructionCounter {
 public:
  InstructionCounter() {
    perf_event_attr attributes = {};
    attributes.type = PERF_TYPE_HARDWARE;
    attributes.size = sizeof attributes;
    attributes.config = PERF_COUNT_HW_INSTRUCTIONS;
    attributes.exclude_kernel = 1;
    attributes.exclude_hv = 1;
    fd_ = static_cast<int>(::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
  }
  ~InstructionCounter() {
    if (fd_ >= 0) ::close(fd_);
  }
  InstructionCounter(const InstructionCounter&) = delete;
  InstructionCounter& operator=(const InstructionCounter&) = delete;
  bool available() const { return fd_ >= 0; }
  std::uint64_t read() const {
    std::uint64_t value = 0;
    return ::read(fd_, &value, sizeof value) == sizeof value ? value : 0;
  }

 private:
  int fd_;
};

// --- the run

void* map_shared(std::size_t bytes) {
  void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (p == MAP_FAILED) {
    std::perror("mmap");
    std::exit(1);
  }
  return p;
}

std::size_t iterations(std::size_t bytes) {
  return std::clamp<std::size_t>((std::size_t{64} << 20) / std::max<std::size_t>(bytes, 2048), 3,
                                 20'000);
}

// Median over rounds of the slower rank's time per call.
double median_us(const Shared& shared, std::size_t iterations) {
  std::vector<double> samples;
  for (int r = 0; r < kRounds; ++r) {
    samples.push_back(std::max(shared.times[0][r], shared.times[1][r]) /
                      static_cast<double>(iterations));
  }
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

int run(int rank, Shared& shared, std::byte* inputs[2], std::byte* outputs[2],
        const std::string& directory) {
  cpu_set_t core;
  CPU_ZERO(&core);
  CPU_SET(rank, &core);
  paceline::Config config;
  config.rank = rank;
  config.size = 2;
  Communicator comm = Communicator::create(config, paceline::make_file_store(directory));
  ::sched_setaffinity(0, sizeof core, &core);

  ByHand by_hand(shared, rank, inputs, outputs);
  const paceline::Memory in = comm.allocate(kLargest);
  const paceline::Memory out = comm.allocate(kLargest);
  std::fill(in.as<float>().begin(), in.as<float>().end(), 1.f);
  std::fill_n(reinterpret_cast<float*>(inputs[rank]), kLargest / sizeof(float), 1.f);
  const auto library = [&](std::size_t bytes) {
    comm.all_reduce(in.data(), out.data(), bytes / sizeof(float), paceline::DataType::float32,
                    paceline::ReduceOp::sum);
  };
  const auto hand = [&](std::size_t bytes) { by_hand.all_reduce(bytes); };

  const auto time = [&](const std::function<void(std::size_t)>& call, std::size_t bytes,
                        double* to) {
    by_hand.barrier();
    const double begin = now_us();
    for (std::size_t i = 0; i < iterations(bytes); ++i) call(bytes);
    *to = now_us() - begin;
    by_hand.barrier();
  };

  if (rank == 0)
    std::printf("%12s %14s %14s %8s\n", "bytes", "by hand (us)", "paceline (us)", "ratio");
  static double mine[2][kRounds];
  for (const std::size_t bytes : kSizes) {
    library(bytes);
    hand(bytes);
    for (int r = 0; r < kRounds; ++r) {
      time(hand, bytes, &mine[0][r]);
      time(library, bytes, &mine[1][r]);
    }
    double medians[2];
    for (int k = 0; k < 2; ++k) {
      std::copy(mine[k], mine[k] + kRounds, shared.times[rank]);
      by_hand.barrier();
      medians[k] = median_us(shared, iterations(bytes));
      by_hand.barrier();
    }
    if (rank == 0) {
      std::printf("%12zu %14.2f %14.2f %8.2f\n", bytes, medians[0], medians[1],
                  medians[1] / medians[0]);
    }
    const auto* result = out.as<float>().data();
    for (std::size_t i = 0; i < bytes / sizeof(float); ++i) {
      if (result[i] != 2.f) {
        std::fprintf(stderr, "rank %d: element %zu of %zu bytes is %g, not 2\n", rank, i, bytes,
                     static_cast<double>(result[i]));
        return 1;
      }
    }
  }

  const InstructionCounter counter;
  if (!counter.available()) {
    if (rank == 0) std::printf("instructions per 8-byte call: this machine does not count them\n");
    return 0;
  }
  // The fewest of many calls: one in which the peer's message is already there, so that no
  // instruction is a turn of waiting.
  std::uint64_t fewest = ~std::uint64_t{0};
  for (int i = 0; i < 2000; ++i) {
    by_hand.barrier();
    if (rank == 0) ::usleep(20);
    const std::uint64_t begin = counter.read();
    library(8);
    fewest = std::min(fewest, counter.read() - begin);
  }
  if (rank == 0)
    std::printf("instructions per 8-byte call: %llu\n", static_cast<unsigned long long>(fewest));
  return 0;
}

}  // namespace

int main() {
  auto* shared = new (map_shared(sizeof(Shared))) Shared;
  std::byte* inputs[2];
  std::byte* outputs[2];
  for (int r = 0; r < 2; ++r) {
    inputs[r] = static_cast<std::byte*>(map_shared(kLargest));
    outputs[r] = static_cast<std::byte*>(map_shared(kLargest));
  }
  char pattern[] = "/tmp/engine_overhead.XXXXXX";
  if (::mkdtemp(pattern) == nullptr) return 1;
  const std::string directory = std::string(pattern) + "/store";
  const pid_t child = ::fork();
  int status = 0;
  const int result = run(child == 0 ? 1 : 0, *shared, inputs, outputs, directory);
  if (child == 0) std::_Exit(result);
  ::waitpid(child, &status, 0);
  std::filesystem::remove_all(pattern);
  return result != 0 || status != 0;
}
