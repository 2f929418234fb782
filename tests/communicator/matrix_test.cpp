// Every collective with every type and operation, over the wires that this machine has. (The
// simulated wire: tests/engine/matrix_test.cpp; RDMA: tests/rdma.)
#include "support/matrix.h"

#include "support/world.h"

namespace paceline {
namespace {

using testing_support::Matrix;
using testing_support::run_world;

class EveryCollective : public testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(EveryCollective, OfEveryTypeAndOperation) {
  const auto& [wire, size] = GetParam();
  run_world(
      size,
      [](Communicator& comm) {
        Matrix matrix(comm);
        EXPECT_EQ(matrix.run({1, 37, 3001}), "");
        // 91 pairs of type and operation for 3 collectives, 13 types for 5: times 3 counts, in
        // place and not.
        EXPECT_EQ(matrix.cases(), (3 * 91 + 5 * 13) * 3 * 2);
      },
      [&, wire = wire](Config& config) {
        config.transports = {wire};
        config.segment_bytes = 4096;
      });
}
INSTANTIATE_TEST_SUITE_P(All, EveryCollective,
                         testing::Combine(testing::Values("shm", "tcp"), testing::Values(2, 5)),
                         [](const auto& param) {
                           return std::get<0>(param.param) + "_" +
                                  std::to_string(std::get<1>(param.param));
                         });

// Between ranks that have nothing but TCP, messages carry up to 128 KiB.
TEST(LongMessages, CarryEveryCollective) {
  run_world(
      3,
      [](Communicator& comm) {
        Matrix matrix(comm);
        EXPECT_EQ(matrix.run({1500, 9000}), "");
      },
      [](Config& config) {
        config.transports = {"tcp"};
        config.eager_bytes = 131072;
      });
}

}  // namespace
}  // namespace paceline
