// What becomes of the calls of a group.
#include "communicator/fusion.h"

#include <gtest/gtest.h>

namespace paceline {
namespace {

ReadyCall sum_of(std::uint64_t count, DataType type = DataType::float32) {
  return {{Collective::all_reduce, type, ReduceOp::sum, Algorithm::automatic, 0, count}, {}};
}

TEST(Fusion, CallsThatAreAlikeBecomeOne) {
  const auto calls = fuse({sum_of(3), sum_of(0), sum_of(5)}, 0, 2);
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].call.count, 8u);
  ASSERT_NE(calls[0].buffers.pieces, nullptr);
  const auto& pieces = *calls[0].buffers.pieces;
  ASSERT_EQ(pieces.input.size(), 2u);  // nothing of the empty one
  EXPECT_EQ(pieces.input[1].offset, 12u);
  EXPECT_EQ(pieces.input[1].bytes, 20u);
  EXPECT_EQ(pieces.output.size(), 2u);
}

TEST(Fusion, OthersStayWhatTheyAre) {
  ReadyCall large = sum_of(1'000'000);
  ReadyCall barrier{{}, {}};
  ReadyCall factor = sum_of(4);
  factor.call.op = ReduceOp::premul_sum;
  ReadyCall to_one = sum_of(4);
  to_one.call.collective = Collective::reduce;
  ReadyCall to_other = to_one;
  to_other.call.root = 1;
  ReadyCall by_ring = sum_of(4);
  by_ring.call.algorithm = Algorithm::ring;
  const auto calls = fuse(
      {sum_of(4), large, barrier, factor, sum_of(4, DataType::int32), to_one, to_other, by_ring}, 0,
      2);
  ASSERT_EQ(calls.size(), 8u);
  for (const ReadyCall& ready : calls) EXPECT_EQ(ready.buffers.pieces, nullptr);
  EXPECT_EQ(calls[1].call.count, 1'000'000u);
}

TEST(Fusion, ACallTakesThePlaceOfItsFirstPart) {
  const auto calls = fuse({sum_of(4), sum_of(4, DataType::int32), sum_of(4)}, 0, 2);
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].call.type, DataType::float32);
  EXPECT_EQ(calls[0].call.count, 8u);
}

TEST(Fusion, AFullCallIsFollowedByAnother) {
  const auto calls =
      fuse({sum_of(6), sum_of(6), sum_of(6)}, 0, 2, {.largest_block = 100, .largest_call = 50});
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].call.count, 12u);
  EXPECT_EQ(calls[1].call.count, 6u);
}

// Two ranks and two calls: each block holds a part of each call.
TEST(Fusion, BlocksPerRankInterleave) {
  std::byte memory[64];
  ReadyCall a{{Collective::all_gather, DataType::int8, ReduceOp::sum, Algorithm::automatic, 0, 3},
              {memory, memory + 8}};
  ReadyCall b = a;
  b.call.count = 2;
  b.buffers = {memory + 32, memory + 40};
  const auto calls = fuse({a, b}, 1, 2);
  ASSERT_EQ(calls.size(), 1u);
  const auto& pieces = *calls[0].buffers.pieces;
  ASSERT_EQ(pieces.input.size(), 2u);
  EXPECT_EQ(pieces.input[1].offset, 3u);
  ASSERT_EQ(pieces.output.size(), 4u);
  EXPECT_EQ(pieces.output[0].offset, 0u);
  EXPECT_EQ(pieces.output[1].offset, 5u);
  EXPECT_EQ(pieces.output[1].memory, memory + 11);
  EXPECT_EQ(pieces.output[3].offset, 8u);
  EXPECT_EQ(pieces.output[3].memory, memory + 42);
}

}  // namespace
}  // namespace paceline
