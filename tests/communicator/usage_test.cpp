// What a communicator holds: nothing where there is nobody, and bounded otherwise.
#include <barrier>

#include "support/world.h"

namespace paceline {
namespace {

using testing_support::run_world;

TEST(Usage, OfOneRankIsNothing) {
  Communicator comm = Communicator::create(Config{});
  float x = 1;
  comm.all_reduce(std::span<float>(&x, 1), ReduceOp::sum);
  const Usage usage = comm.usage();
  EXPECT_EQ(usage.links, 0);
  EXPECT_EQ(usage.control_links, 0);
  EXPECT_EQ(usage.descriptors, 0);
  EXPECT_EQ(usage.rounds, 0);
  EXPECT_EQ(usage.link_bytes, 0u);
  EXPECT_EQ(usage.allocated_bytes, 0u);
}

class UsageOver : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Wires, UsageOver, testing::Values("shm", "tcp"),
                         [](const auto& param) { return param.param; });

TEST_P(UsageOver, LinksAreMadeWhenTheyAreNeededAndMemoryIsCounted) {
  // Not the communicator's barrier, which would exchange data. Who is quick must not send before
  // everybody has looked: the first message makes the link at both ends.
  std::barrier everybody_has_looked(6);
  run_world(
      6,
      [&](Communicator& comm) {
        const Usage before = comm.usage();
        everybody_has_looked.arrive_and_wait();
        EXPECT_EQ(before.links, 0) << "nobody has exchanged data";
        EXPECT_GE(before.control_links, 4) << "with those 1, 2 and 4 before and after";
        EXPECT_LE(before.control_links, 6);
        EXPECT_EQ(before.rounds, 6) << "two all_gathers of three rounds";
        std::vector<float> few(10);
        // By a tree, wherever these ranks run.
        comm.broadcast(few.data(), few.size(), DataType::float32, 0,
                       {.algorithm = Algorithm::binomial});
        const Usage after = comm.usage();
        everybody_has_looked.arrive_and_wait();  // or a quick one's barrier would make links here
        EXPECT_GE(after.links, 1);
        EXPECT_LE(after.links, 3) << "a binomial tree";
        EXPECT_GE(after.descriptors, before.descriptors + after.links);
        EXPECT_GT(after.link_bytes, 0u);
        EXPECT_LT(after.link_bytes, static_cast<std::size_t>(after.links) * 400'000);

        std::vector<float> mine(1000);
        {
          const Memory allocated = comm.allocate(50'000);
          const Memory registered = comm.register_memory(mine.data(), 4000);
          EXPECT_EQ(comm.usage().allocated_bytes, 50'000u);
          EXPECT_EQ(comm.usage().registered_bytes, 4000u);
        }
        EXPECT_EQ(comm.usage().allocated_bytes, 0u);
        EXPECT_EQ(comm.usage().registered_bytes, 0u);
        comm.barrier();
      },
      [](Config& config) { config.transports = {GetParam()}; });
}

}  // namespace
}  // namespace paceline
