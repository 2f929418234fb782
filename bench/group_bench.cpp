// Many small tensors: what it takes to all_reduce them one by one, all started at once, in a group,
// and in a group that is started again, in interleaved rounds. Run it as any program of ranks:
//
//   mpirun -n 2 build/bin/group_bench
//
// Times are rank 0's, of all tensors, the median of the rounds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <vector>

#include "paceline/paceline.hpp"

namespace {

using paceline::Communicator;
using paceline::ReduceOp;
using paceline::Work;

constexpr int kRounds = 15;

double now_us() {
  return std::chrono::duration<double, std::micro>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void measure(Communicator& comm, std::size_t tensors, std::size_t bytes) {
  const std::size_t count = bytes / sizeof(float);
  std::vector<std::vector<float>> all(tensors, std::vector<float>(count, 1.F));
  const auto grouped = [&] {
    comm.group_begin();
    for (auto& tensor : all) comm.all_reduce(std::span(tensor), ReduceOp::max);
    return comm.group_end_async();
  };
  Work again = grouped();
  again.wait();
  const std::vector<std::function<void()>> ways = {
      [&] {
        for (auto& tensor : all) comm.all_reduce(std::span(tensor), ReduceOp::max);
      },
      [&] {
        std::vector<Work> work;
        for (auto& tensor : all) {
          work.push_back(comm.all_reduce_async(std::span(tensor), ReduceOp::max));
        }
        for (Work& w : work) w.wait();
      },
      [&] { grouped().wait(); },
      [&] {
        again.restart();
        again.wait();
      },
  };
  std::vector<std::vector<double>> times(ways.size());
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t way = 0; way < ways.size(); ++way) {
      comm.barrier();
      const double start = now_us();
      ways[way]();
      times[way].push_back(now_us() - start);
    }
  }
  if (comm.rank() != 0) return;
  const double alone = median(times[0]);
  std::printf("%8zu  %8zu", tensors, bytes);
  for (const auto& of_way : times) {
    const double time = median(of_way);
    std::printf("  %10.1f  %5.2f", time, time / alone);
  }
  std::printf("\n");
}

}  // namespace

int main() {
  try {
    Communicator comm = Communicator::from_environment();
    if (comm.rank() == 0) {
      std::printf("# %d ranks, %s; times in us, and as a ratio to one by one\n", comm.size(),
                  comm.wires()[comm.size() > 1 ? 1 : 0].transport.c_str());
      std::printf(
          "# tensors     bytes  one by one         at once         in a group        again\n");
    }
    for (const std::size_t bytes : {64, 1024, 4 * 1024, 16 * 1024, 64 * 1024, 256 * 1024}) {
      measure(comm, 100, bytes);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "group_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
