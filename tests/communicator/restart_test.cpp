// Calls that are made again allocate next to nothing in the thread that makes them, and blocking
// ones nothing.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <latch>
#include <new>
#include <thread>
#include <vector>

#include "support/world.h"

namespace {
thread_local std::size_t allocations = 0;
}

// All other forms of new come here. Sanitizers bring their own, and are left theirs.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PACELINE_COUNTS_ALLOCATIONS 1
void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* const memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
#endif

namespace paceline {
namespace {

using testing_support::run_world;

std::size_t allocated_by(const std::function<void()>& call) {
  const std::size_t before = allocations;
  call();
  return allocations - before;
}

TEST(Restart, AllocatesNoMoreThanANote) {
#ifdef PACELINE_COUNTS_ALLOCATIONS
  EXPECT_GT(allocated_by([] { std::vector<int> x(100); }), 0u);  // the counter counts
#endif
  std::atomic<int> asked[2] = {};
  run_world(2, [&](Communicator& comm) {
    float x = 1;
    const auto small = [&] { comm.all_reduce(&x, &x, 1, DataType::float32, ReduceOp::max); };
    // Each waits once for so long that it sleeps, which it has done before it asks twice: the first
    // sleep makes room for descriptors.
    const auto me = static_cast<std::size_t>(comm.rank());
    comm.while_waiting([&] {
      ++asked[me];
      return std::string();
    });
    for (std::size_t late = 0; late < 2; ++late) {
      while (me == late && asked[1 - me] < 2) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      small();
    }
    comm.while_waiting({});
    // By messages, by puts in many instances, and fused out of pieces.
    for (const std::size_t count : {2u, 100'000u, 0u}) {
      Memory memory = comm.allocate(100'000 * sizeof(float));
      std::vector<std::vector<float>> tensors(20, std::vector<float>(100));
      Work work;
      if (count == 0) {
        comm.group_begin();
        for (auto& tensor : tensors) comm.all_reduce(std::span(tensor), ReduceOp::sum);
        work = comm.group_end_async();
      } else {
        work = comm.all_reduce_async(memory.as<float>().first(count), ReduceOp::sum);
      }
      work.wait();
      for (int warm = 0; warm < 3; ++warm) {
        work.restart();
        work.wait();
      }
      const std::size_t allocated = allocated_by([&] {
        for (int round = 0; round < 100; ++round) {
          work.restart();
          work.wait();
        }
      });
      // The note to the service thread, where the other rank was not there yet.
      EXPECT_LE(allocated, 3u * 100u) << count;
    }
    for (int round = 0; round < 1000; ++round) small();
    EXPECT_EQ(allocated_by([&] {
                for (int round = 0; round < 1000; ++round) small();
              }),
              0u);
  });
}

// Work that nobody waited for is waited for by its destructor; Work that is still under way when
// the communicator goes fails, and nothing is written after that.
TEST(DroppedWork, IsFinishedByItsDestructor) {
  run_world(3, [](Communicator& comm) {
    std::vector<std::int32_t> x(50'000, 1);
    for (int round = 0; round < 3; ++round) {
      const Work dropped = comm.all_reduce_async(std::span(x), ReduceOp::sum);
    }
    EXPECT_EQ(x, std::vector<std::int32_t>(50'000, 27));
  });
}

TEST(DroppedWork, FailsWithItsCommunicator) {
  std::latch both(2);
  run_world(2, [&](Communicator& comm) {
    std::vector<std::int32_t> x(50'000, 1);
    if (comm.rank() == 0) {
      Work work = comm.all_reduce_async(std::span(x), ReduceOp::sum);
      comm = Communicator::create(Config{});
      const Error error = testing_support::expect_error([&] { work.wait(); });
      EXPECT_EQ(error.code(), ErrorCode::aborted) << error.what();
      EXPECT_NE(std::string(error.what()).find("destroyed while"), std::string::npos);
    }
    both.arrive_and_wait();  // the other rank is there until then
  });
}

}  // namespace
}  // namespace paceline
