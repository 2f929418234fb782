// Messages that no 32-bit number counts: 2^31 elements and more, and 4 GiB and a byte.
#include <cstring>

#include "support/world.h"

namespace paceline {
namespace {

using testing_support::run_world;

constexpr std::size_t kPeriod = 251;  // a prime: a piece that moved meets another phase

std::uint8_t value(std::size_t i, int times) {
  return static_cast<std::uint8_t>(i % kPeriod * static_cast<std::size_t>(times));
}

void fill(std::span<std::uint8_t> x, int times) {
  for (std::size_t i = 0; i < kPeriod && i < x.size(); ++i) x[i] = value(i, times);
  for (std::size_t done = kPeriod; done < x.size(); done *= 2) {
    std::memcpy(&x[done], &x[0], std::min(done, x.size() - done));
  }
}

// The pattern repeats, so it is right if its first period is and everything is as a period before.
bool is(std::span<const std::uint8_t> x, int times) {
  for (std::size_t i = 0; i < kPeriod; ++i) {
    if (x[i] != value(i, times)) return false;
  }
  return std::memcmp(&x[0], &x[kPeriod], x.size() - kPeriod) == 0;
}

class Huge : public testing::TestWithParam<std::tuple<std::string, std::size_t>> {};

TEST_P(Huge, SumAndBroadcast) {
  const auto& [wire, count] = GetParam();
  run_world(
      2,
      [count = count](Communicator& comm) {
        const Memory memory = comm.allocate(count);
        const auto x = memory.as<std::uint8_t>();
        fill(x, comm.rank() + 1);
        comm.all_reduce(x, ReduceOp::sum);
        EXPECT_TRUE(is(x, 3));
        if (comm.rank() == 1) fill(x, 5);
        comm.broadcast(x, 1);
        EXPECT_TRUE(is(x, 5));
      },
      [wire = wire](Config& config) { config.transports = {wire}; });
}
INSTANTIATE_TEST_SUITE_P(Bytes, Huge,
                         testing::Combine(testing::Values("shm", "tcp"),
                                          testing::Values((std::size_t{1} << 31) + 3,
                                                          (std::size_t{4} << 30) + 1)),
                         [](const auto& param) {
                           return std::get<0>(param.param) + "_" +
                                  std::to_string(std::get<1>(param.param));
                         });

// 2^31 blocks' worth of elements for one rank and hardly anything for the other.
TEST(HugeBlocks, OfALengthPerRank) {
  run_world(2, [](Communicator& comm) {
    const std::size_t counts[] = {(std::size_t{1} << 31) + 5, 7};
    const Memory memory = comm.allocate(counts[0] + counts[1]);
    const auto x = memory.as<std::uint8_t>();
    const auto own = comm.rank() == 0 ? x.first(counts[0]) : x.last(counts[1]);
    if (comm.rank() == 0) {
      fill(own, 3);
    } else {
      std::fill(own.begin(), own.end(), std::uint8_t{9});
    }
    comm.all_gather_v(own.data(), x.data(), {counts}, DataType::uint8);
    EXPECT_TRUE(is(x.first(counts[0]), 3));
    for (const std::uint8_t last : x.last(counts[1])) EXPECT_EQ(last, 9);
  });
}

}  // namespace
}  // namespace paceline
