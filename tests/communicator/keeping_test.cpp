// Calls one after the other whose data is put, kept, loaded and sent by turns: long and short ones,
// of memory that is mapped on one rank and not on the other, in place on one and not on the other.
// The two ends of a link must agree on all of that, call for call, and no call's scratch may be
// another's too early.
#include <cstring>
#include <random>
#include <vector>

#include "support/world.h"

namespace paceline {
namespace {

using testing_support::run_world;

constexpr std::size_t kMost = 300'000;
/// By messages; announced; of several instances. Around the lengths at which algorithms change.
constexpr std::size_t kCounts[] = {1,     17,     512,    513,    1'000,  1'024,
                                   4'097, 10'000, 32'768, 32'769, 70'001, kMost};

std::int32_t value(int step, int rank, std::size_t i) {
  return static_cast<std::int32_t>((i * 2654435761u + static_cast<std::size_t>(step) * 40503u) %
                                   10'007) *
         (rank + 1);
}

/// A rank's buffers: both from the C++ library, both from the communicator, or one of each.
class Buffers {
 public:
  explicit Buffers(Communicator& comm)
      : input_(comm.allocate(kMost * sizeof(std::int32_t))),
        output_(comm.allocate(kMost * sizeof(std::int32_t))) {}
  std::int32_t* input(unsigned choice) {
    return choice % 2 == 0 ? plain_input_.data() : input_.as<std::int32_t>().data();
  }
  std::int32_t* output(unsigned choice) {
    return choice / 2 % 2 == 0 ? plain_output_.data() : output_.as<std::int32_t>().data();
  }

 private:
  std::vector<std::int32_t> plain_input_ = std::vector<std::int32_t>(kMost);
  std::vector<std::int32_t> plain_output_ = std::vector<std::int32_t>(kMost);
  Memory input_;
  Memory output_;
};

void all_reduce(Communicator& comm, Buffers& buffers, int step, std::size_t count,
                std::mt19937& mine) {
  const auto choice = static_cast<unsigned>(mine());
  std::int32_t* const output = buffers.output(choice);
  std::int32_t* const input = mine() % 3 == 0 ? output : buffers.input(choice);
  for (std::size_t i = 0; i < count; ++i) input[i] = value(step, comm.rank(), i);
  comm.all_reduce(input, output, count, DataType::int32, ReduceOp::sum);
  const int ranks = comm.size() * (comm.size() + 1) / 2;
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(output[i], ranks * value(step, 0, i)) << "all_reduce " << step << ", element " << i;
  }
}

void broadcast(Communicator& comm, Buffers& buffers, int step, std::size_t count, int root,
               std::mt19937& mine) {
  std::int32_t* const memory = buffers.input(static_cast<unsigned>(mine()));
  if (comm.rank() == root) {
    for (std::size_t i = 0; i < count; ++i) memory[i] = value(step, root, i);
  }
  comm.broadcast(memory, count, DataType::int32, root);
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(memory[i], value(step, root, i)) << "broadcast " << step << ", element " << i;
  }
}

void all_gather(Communicator& comm, Buffers& buffers, int step, std::size_t count,
                std::mt19937& mine) {
  const auto choice = static_cast<unsigned>(mine());
  const auto size = static_cast<std::size_t>(comm.size());
  const std::size_t block = std::min(count, kMost / size);
  std::int32_t* const input = buffers.input(choice);
  std::int32_t* const output = buffers.output(choice);
  for (std::size_t i = 0; i < block; ++i) input[i] = value(step, comm.rank(), i);
  comm.all_gather(input, output, block, DataType::int32);
  for (std::size_t r = 0; r < size; ++r) {
    for (std::size_t i = 0; i < block; ++i) {
      ASSERT_EQ(output[r * block + i], value(step, static_cast<int>(r), i))
          << "all_gather " << step << ", block " << r << ", element " << i;
    }
  }
}

void many_calls(Communicator& comm, unsigned seed) {
  Buffers buffers(comm);
  std::mt19937 ours(seed);
  std::mt19937 mine(seed + 1000u * static_cast<unsigned>(comm.rank() + 1));
  for (int step = 0; step < 300; ++step) {
    const std::size_t count = kCounts[ours() % std::size(kCounts)];
    switch (ours() % 6) {
      case 0:
        broadcast(comm, buffers, step, count,
                  static_cast<int>(ours() % static_cast<unsigned>(comm.size())), mine);
        break;
      case 1:
        all_gather(comm, buffers, step, count, mine);
        break;
      default:
        all_reduce(comm, buffers, step, count, mine);
    }
    if (testing::Test::HasFatalFailure()) return;
  }
}

class Keeping : public testing::TestWithParam<int> {};

TEST_P(Keeping, CallsOfAllKindsInTurn) {
  for (const unsigned seed : {1u, 2u}) {
    run_world(GetParam(), [&](Communicator& comm) { many_calls(comm, seed); });
  }
}

// Slots are used in every second way by each call, and in several instances.
TEST_P(Keeping, OneExchangeOfManyInstances) {
  run_world(
      GetParam(), [](Communicator& comm) { many_calls(comm, 3); },
      [](Config& config) {
        config.algorithm = Algorithm::one_shot;
        config.segment_bytes = 64 * 1024;
      });
}

INSTANTIATE_TEST_SUITE_P(Ranks, Keeping, testing::Values(2, 3));

}  // namespace
}  // namespace paceline
