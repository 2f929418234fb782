// The bytes of an operation's messages, the waiter and the plan's cuts.
#include <gtest/gtest.h>

#include "engine/announcement.h"
#include "engine/call.h"
#include "engine/crowd.h"
#include "engine/plan.h"
#include "engine/waiter.h"

namespace paceline::engine {
namespace {

TEST(Call, SurvivesItsWords) {
  const Call call{Collective::broadcast, DataType::int64, ReduceOp::max,
                  Algorithm::binomial,   0x7ffffffe,      0x123456789abcdefu};
  EXPECT_EQ(Call::from_words(call.word(), call.count), call);
  EXPECT_EQ((Call{Collective::all_reduce, DataType::float32, ReduceOp::sum, Algorithm::ring, 0, 12})
                .text(),
            "all_reduce(12 x float32, sum)");
  EXPECT_EQ((Call{}).text(), "barrier()");
}

TEST(Call, DiffersInEachOfItsParts) {
  const Call call{Collective::all_reduce, DataType::float32, ReduceOp::sum, Algorithm::ring, 0, 12};
  EXPECT_EQ(call, Call(call));
  Call other[6] = {call, call, call, call, call, call};
  other[0].collective = Collective::broadcast;
  other[1].type = DataType::int32;
  other[2].op = ReduceOp::max;
  other[3].algorithm = Algorithm::direct;
  other[4].root = 1;
  other[5].count = 13;
  for (const Call& o : other) EXPECT_NE(call, o) << o.text();
}

TEST(Header, HasTheseBytes) {
  const Call call{
      Collective::all_reduce, DataType::float32, ReduceOp::sum, Algorithm::direct, 5, 258};
  const Header header = Header::make(MessageKind::announcement, 64, 7, 0x0102030405060708u, call);
  const unsigned char expected[kHeaderBytes] = {6, 2, 0, 64, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8,
                                                1, 1, 1, 3,  0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 1, 2};
  EXPECT_EQ(std::memcmp(header.words, expected, kHeaderBytes), 0);
  EXPECT_EQ(header.version(), kMessageVersion);
  EXPECT_EQ(header.kind(), MessageKind::announcement);
  EXPECT_EQ(header.payload(), 64u);
  EXPECT_EQ(header.sequence(), 0x0102030405060708u);
  EXPECT_EQ(header.call(), call);

  // A plan's header becomes that of an operation.
  const Header planned = Header::make(MessageKind::announcement, 64, 7, 0, call);
  EXPECT_NE(planned, header);
  EXPECT_EQ(planned.of(0x0102030405060708u), header);
  for (int i = 0; i < 4; ++i) {
    Header other = header;
    other.words[i] ^= 1;
    EXPECT_NE(other, header) << "word " << i;
  }
}

TEST(Announcement, SurvivesTheWire) {
  const Announcement a{{1, 2}, {3, 4}, {5, 6}, 7, 8, 9, 10, 11, false, true, false, true};
  std::byte bytes[kAnnouncementBytes];
  a.write(bytes);
  const Announcement b = Announcement::read(bytes);
  EXPECT_EQ(b.input, a.input);
  EXPECT_EQ(b.output, a.output);
  EXPECT_EQ(b.scratch, a.scratch);
  EXPECT_EQ(b.turn_stride, 7u);
  EXPECT_EQ(b.shadow_offset, 8u);
  EXPECT_EQ(b.turns, 9u);
  EXPECT_EQ(b.given, 10u);
  EXPECT_EQ(b.got, 11u);
  EXPECT_FALSE(b.keeps);
  EXPECT_TRUE(b.in_place);
  EXPECT_FALSE(b.likes_to_keep);
  EXPECT_TRUE(b.streams);
  EXPECT_EQ(bytes[7], std::byte{1});
}

TEST(Reference, SurvivesTheWire) {
  for (const bool whole_block : {false, true}) {
    const ReferenceWords words = to_words({0x1234, 5}, whole_block);
    const auto* bytes = reinterpret_cast<const std::byte*>(words.data());
    EXPECT_EQ(read_address(bytes), (transport::RemoteAddress{0x1234, 5}));
    EXPECT_EQ(read_whole_block(bytes), whole_block);
    EXPECT_EQ(bytes[7], std::byte{0x34});
  }
}

TEST(Waiter, GivesTheCoreAwayInEveryTurnOnceSpinningIsOver) {
  Waiter waiter(1);
  while (waiter.next() == Pause::spin) {
  }
  for (std::uint32_t i = 0; i < 2 * Waiter::kSpinsPerLook; ++i) {
    EXPECT_NE(waiter.next(), Pause::spin);
  }
  waiter.reset();
  EXPECT_EQ(waiter.next(), Pause::spin);
}

TEST(Waiter, SpinsThenYieldsThenSleeps) {
  Waiter waiter(1);
  EXPECT_EQ(waiter.next(), Pause::spin);
  bool yielded = false;
  Pause pause = Pause::spin;
  while (pause != Pause::sleep) {
    pause = waiter.next();
    yielded |= pause == Pause::yield;
  }
  EXPECT_TRUE(yielded);
  EXPECT_EQ(waiter.sleep_length(), Waiter::kShortestSleep);
  for (int i = 0; i < 20; ++i) EXPECT_LE(waiter.sleep_length(), Waiter::kLongestSleep);
  waiter.reset();
  EXPECT_EQ(waiter.next(), Pause::spin);
}

// 512 ranks on two cores that all look every millisecond would keep both busy with looking.
TEST(Waiter, SleepsLongerTheMoreRanksShareACore) {
  Waiter crowded(256);
  Nanoseconds longest = 0;
  for (int i = 0; i < 20; ++i) longest = crowded.sleep_length();
  EXPECT_EQ(longest, 256 * Waiter::kSleepPerRank);
  Waiter alone(1);
  for (int i = 0; i < 20; ++i) longest = alone.sleep_length();
  EXPECT_EQ(longest, Waiter::kLongestSleep);
}

TEST(Waiter, NeverSpinsWhereRanksOutnumberCores) {
  Waiter waiter(2);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(waiter.next(), Pause::yield);
}

TEST(Crowd, IsSeenByYieldsThatTakeLongAndForgottenByThoseThatDoNot) {
  Crowd crowd;
  EXPECT_FALSE(crowd.seen());
  crowd.yielded(Crowd::kSwitch - 1);
  EXPECT_FALSE(crowd.seen());
  crowd.yielded(Crowd::kSwitch);
  EXPECT_EQ(Waiter(1, crowd.seen()).next(), Pause::yield);
  for (int i = 1; i < Crowd::kPatience; ++i) crowd.yielded(500);
  EXPECT_TRUE(crowd.seen());
  crowd.yielded(500);
  EXPECT_FALSE(crowd.seen());
  EXPECT_EQ(Waiter(1, crowd.seen()).next(), Pause::spin);
}

// A program that computes gives the core back when its slice is over: to step back for it each time
// would cost a slice for each call.
TEST(Crowd, IsNoneWhereSomebodyComputes) {
  Crowd crowd;
  crowd.yielded(Crowd::kSlice);
  EXPECT_FALSE(crowd.seen());
  crowd.yielded(Crowd::kSwitch);
  EXPECT_TRUE(crowd.seen());
  crowd.yielded(Crowd::kSlice);
  EXPECT_FALSE(crowd.seen());
}

TEST(Plan, InstancesTileTheOperation) {
  for (const Algorithm algorithm :
       {Algorithm::ring, Algorithm::recursive_doubling, Algorithm::direct}) {
    for (const std::uint64_t count : {1u, 1000u, 4097u, 100'000u, 1'000'003u}) {
      for (const int size : {2, 3, 8, 100}) {
        PlanOptions options;
        options.size = size;
        options.rank = size - 1;
        const Plan plan(
            {Collective::all_reduce, DataType::int32, ReduceOp::sum, algorithm, 0, count}, options);
        ASSERT_GE(plan.instances(), 1u);
        ASSERT_LT((plan.instances() - 1) * plan.instance_count(), count);
        ASSERT_GE(plan.instances() * plan.instance_count(), count);
        ASSERT_LE(plan.instance_count() * 4, kMaxInstanceBytes + 64 * static_cast<unsigned>(size));
        ASSERT_LE(static_cast<std::uint64_t>(plan.lanes()), plan.instances());
        ASSERT_TRUE(!plan.eager() || plan.instances() == 1);
      }
    }
  }
}

}  // namespace
}  // namespace paceline::engine
