// What a small call costs in instructions: two ranks in one thread, so that no instruction is one
// of waiting. Rank 0 starts its call; rank 1's blocking call finds everything there and ends at
// once; then rank 0's ends. bench/count_instructions runs this under callgrind, which counts what
// is inside the blocking call.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <thread>
#include <vector>

#include "paceline/paceline.hpp"

namespace {

using paceline::Communicator;

Communicator create(int rank, const std::shared_ptr<paceline::Store>& store) {
  paceline::Config config;
  config.rank = rank;
  config.size = 2;
  return Communicator::create(config, store);
}

void run(int calls, std::size_t bytes) {
  const auto store = paceline::make_process_store();
  std::optional<Communicator> other;
  std::thread thread([&] { other.emplace(create(1, store)); });
  Communicator first = create(0, store);
  thread.join();
  {  // a link is made, and the machine tried, in a call that is not counted
    paceline::Work work = first.barrier_async();
    other->barrier();
    work.wait();
  }
  std::vector<float> x(bytes / sizeof(float)), y(x.size());
  for (int i = 0; i < calls; ++i) {
    paceline::Work work = first.all_reduce_async(std::span<float>(x), paceline::ReduceOp::sum);
    other->all_reduce(std::span<float>(y), paceline::ReduceOp::sum);
    work.wait();
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: instructions CALLS BYTES\n");
    return 2;
  }
  try {
    run(std::atoi(argv[1]), static_cast<std::size_t>(std::atol(argv[2])));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "instructions: %s\n", error.what());
    return 1;
  }
  return 0;
}
