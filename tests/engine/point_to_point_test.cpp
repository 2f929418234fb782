// Sends and recvs between engines in virtual time: over wires that delay, reorder and stall, in
// every kind of memory, beside collectives, and in trouble.
#include "engine/point_to_point.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "engine/sim_world.h"

namespace paceline::engine {
namespace {

using transport::SimOptions;

using Data = std::vector<std::int32_t>;

PlanOptions small_options() {
  PlanOptions options;
  options.eager_bytes = 256;
  options.segment_bytes = 512;
  return options;
}

Data values(int seed, std::size_t count) {
  Data data(count);
  std::iota(data.begin(), data.end(), seed * 1'000'003);
  return data;
}

MessagePtr send(SimWorld& world, int from, int to, const Data& data, int tag = 0) {
  return world.engine(from).submit({CallKind::send, DataType::int32, to, tag, data.size()},
                                   reinterpret_cast<const std::byte*>(data.data()), nullptr);
}

MessagePtr recv(SimWorld& world, int at, int from, Data& data, int tag = 0) {
  return world.engine(at).submit({CallKind::recv, DataType::int32, from, tag, data.size()}, nullptr,
                                 reinterpret_cast<std::byte*>(data.data()));
}

std::shared_ptr<Operation> all_reduce(SimWorld& world, int rank, std::vector<double>& data,
                                      Algorithm algorithm = Algorithm::recursive_doubling) {
  auto* const bytes = reinterpret_cast<std::byte*>(data.data());
  return world.engine(rank).submit(
      {Collective::all_reduce, DataType::float64, ReduceOp::sum, algorithm, 0, data.size()},
      {bytes, bytes});
}

void expect_no_error(const SimWorld& world, int ranks) {
  for (int r = 0; r < ranks; ++r) EXPECT_FALSE(world.error(r)) << world.error(r)->what();
}

enum class Memories { puttable, mapped, staged, mapped_staged };

class Messages : public testing::TestWithParam<Memories> {
 protected:
  static SimOptions options(int ranks, std::uint64_t seed) {
    SimOptions o;
    o.ranks = ranks;
    o.seed = seed;
    o.extra_delay = 5000;
    o.reorder = true;
    o.loss = 0.02;
    o.queue_depth = 1 + seed % 3;
    o.mailbox = 1 + seed % 4;
    const Memories memories = GetParam();
    o.mappable = memories == Memories::mapped || memories == Memories::mapped_staged;
    o.ranks_per_host = o.mappable ? ranks : 1;
    if (memories == Memories::staged || memories == Memories::mapped_staged) {
      o.can_register = [](const transport::MemoryView& view) { return view.shareable_fd >= 0; };
    }
    return o;
  }
};

std::string memories_name(const testing::TestParamInfo<Memories>& info) {
  const char* const names[] = {"puttable", "mapped", "staged", "mapped_staged"};
  return names[static_cast<int>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Kinds, Messages,
                         testing::Values(Memories::puttable, Memories::mapped, Memories::staged,
                                         Memories::mapped_staged),
                         memories_name);

// Every pair of ranks, itself included, both ways, several tags, every size around the bound of
// eager messages and of segments, the recvs in an order of their own.
TEST_P(Messages, ComeToTheirRecvs) {
  struct Both {
    int from, to, tag;
    Data out, in;
  };
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    constexpr int kRanks = 3;
    SimWorld world(options(kRanks, seed), small_options());
    std::mt19937 random(static_cast<unsigned>(seed));
    std::vector<std::unique_ptr<Both>> all;
    for (int from = 0; from < kRanks; ++from) {
      for (int to = 0; to < kRanks; ++to) {
        for (const std::size_t count : {0u, 1u, 63u, 64u, 65u, 1000u, 8192u, 8193u, 40'000u}) {
          const int seed_of_data = static_cast<int>(all.size());
          all.push_back(std::make_unique<Both>(Both{from, to, static_cast<int>(random() % 3),
                                                    values(seed_of_data, count), Data(count, -1)}));
        }
      }
    }
    // Within a tag the order of the calls counts, so only whole tags change places.
    std::vector<MessagePtr> calls;
    const auto post = [&](bool sends, int tag) {
      for (const auto& b : all) {
        if (b->tag != tag) continue;
        calls.push_back(sends ? send(world, b->from, b->to, b->out, tag)
                              : recv(world, b->to, b->from, b->in, tag));
      }
    };
    std::vector<std::pair<bool, int>> order;
    for (int tag = 0; tag < 3; ++tag) order.insert(order.end(), {{true, tag}, {false, tag}});
    std::shuffle(order.begin(), order.end(), random);
    for (const auto& [sends, tag] : order) {
      post(sends, tag);
      // Some of it happens before the other end is called.
      for (int i = 0; i < 40 && world.fabric().advance(); ++i) world.poll_all();
    }
    ASSERT_TRUE(world.run()) << "deadlock, seed " << seed;
    expect_no_error(world, kRanks);
    for (const MessagePtr& call : calls) ASSERT_TRUE(call->finished()) << call->call.text();
    for (const auto& b : all) {
      ASSERT_EQ(b->in, b->out) << b->from << " to " << b->to << ", tag " << b->tag << ", count "
                               << b->out.size() << ", seed " << seed;
    }
  }
}

// Far more than the credits: the first ones are kept aside, the rest is only offered.
TEST_P(Messages, ThatNobodyReceivesAreKeptUpToABound) {
  SimWorld world(options(2, 5), small_options());
  constexpr int kMany = 2000;
  std::vector<Data> out, in;
  std::vector<MessagePtr> sends;
  for (int i = 0; i < kMany; ++i) out.push_back(values(i, 60));
  for (const Data& data : out) sends.push_back(send(world, 0, 1, data, 1));
  // Rank 1 listens, but for something else.
  Data other(3000, -1);
  const Data wanted = values(77, other.size());
  const MessagePtr listening = recv(world, 1, 0, other, 2);
  (void)world.run();
  const auto done =
      std::count_if(sends.begin(), sends.end(), [](const MessagePtr& m) { return m->finished(); });
  EXPECT_GT(done, 0);
  EXPECT_LE(static_cast<std::size_t>(done) * 320, kEagerWindow) << "a record has 320 bytes";
  EXPECT_FALSE(listening->finished());
  // What it waits for comes past all of them.
  const MessagePtr sent = send(world, 0, 1, wanted, 2);
  (void)world.run();
  EXPECT_TRUE(listening->finished() && sent->finished());
  EXPECT_EQ(other, wanted);
  in.assign(kMany, Data(60, -1));
  for (Data& data : in) (void)recv(world, 1, 0, data, 1);
  ASSERT_TRUE(world.run()) << "deadlock";
  EXPECT_EQ(in, out);
}

// Neither an unfinished collective nor its messages, which come first, hold up a recv; nor the
// other way round.
TEST_P(Messages, AndCollectivesDoNotWaitForEachOther) {
  for (const std::size_t count : {std::size_t{4}, std::size_t{3000}}) {
    SimWorld world(options(2, 3), small_options());
    std::vector<double> a(count, 1.0), b(count, 2.0);
    Data in(2000, -1), small_in(3, -1), never(5, -1);
    const Data out = values(1, in.size()), small_out = values(2, small_in.size());
    // Rank 0 is in a collective that rank 1 will call when it has received.
    const auto at_0 = all_reduce(world, 0, a);
    const MessagePtr small_sent = send(world, 0, 1, small_out, 9);
    const MessagePtr sent = send(world, 0, 1, out);
    const MessagePtr small_received = recv(world, 1, 0, small_in, 9);
    const MessagePtr received = recv(world, 1, 0, in);
    const MessagePtr waits = recv(world, 1, 0, never, 4);
    (void)world.run();
    EXPECT_TRUE(sent->finished() && received->finished());
    EXPECT_TRUE(small_sent->finished() && small_received->finished());
    EXPECT_EQ(in, out);
    EXPECT_EQ(small_in, small_out);
    EXPECT_FALSE(at_0->finished());
    // And the collective is done while a recv waits.
    const auto at_1 = all_reduce(world, 1, b);
    (void)world.run();
    EXPECT_TRUE(at_0->finished() && at_1->finished());
    EXPECT_EQ(a, std::vector<double>(count, 3.0));
    EXPECT_FALSE(waits->finished());
    const Data last = values(3, never.size());
    (void)send(world, 0, 1, last, 4);
    ASSERT_TRUE(world.run());
    EXPECT_EQ(never, last);
    expect_no_error(world, 2);
  }
}

// Collectives that one rank runs ahead with fill every mailbox; messages go past them.
TEST_P(Messages, GoPastAFullMailbox) {
  SimWorld world(options(2, 8), small_options());
  std::vector<std::vector<double>> many(40, std::vector<double>(2, 1.0));
  const Call call{
      Collective::broadcast, DataType::float64, ReduceOp::sum, Algorithm::binomial, 0, 2};
  const auto broadcast = [&](int rank, std::vector<double>& x) {
    auto* const bytes = reinterpret_cast<std::byte*>(x.data());
    return world.engine(rank).submit(call, Buffers{bytes, bytes});
  };
  for (auto& x : many) (void)broadcast(0, x);
  (void)world.run();
  const Data out = values(5, 500);
  Data in(500, -1);
  const MessagePtr sent = send(world, 0, 1, out);
  const MessagePtr received = recv(world, 1, 0, in);
  (void)world.run();
  EXPECT_TRUE(sent->finished() && received->finished());
  EXPECT_EQ(in, out);
  std::vector<double> x(2);
  for (std::size_t i = 0; i < many.size(); ++i) (void)broadcast(1, x);
  ASSERT_TRUE(world.run());
  expect_no_error(world, 2);
}

// A rank that never sends or receives itself answers while it waits for something else.
TEST_P(Messages, ReachARankThatIsInACollective) {
  SimWorld world(options(2, 2), small_options());
  std::vector<double> a(3, 1.0), b(3, 1.0);
  const auto waiting = all_reduce(world, 1, b);
  (void)world.run();
  const Data out = values(5, 7);
  const MessagePtr sent = send(world, 0, 1, out);
  (void)world.run();
  EXPECT_TRUE(sent->finished());
  const auto other = all_reduce(world, 0, a);
  ASSERT_TRUE(world.run());
  EXPECT_TRUE(waiting->finished() && other->finished());
  Data in(7, -1);
  (void)recv(world, 1, 0, in);
  ASSERT_TRUE(world.run());
  EXPECT_EQ(in, out);
}

TEST(OwnMessages, AreOnesOwnBusiness) {
  SimOptions o;
  SimWorld world(o, small_options());
  const Data small = values(1, 10), large = values(2, 5000);
  Data small_in(10, -1), large_in(5000, -1);
  const MessagePtr kept = send(world, 0, 0, small);
  (void)world.run();
  EXPECT_TRUE(kept->finished()) << "small, so it is copied aside";
  const MessagePtr waits = send(world, 0, 0, large);
  (void)world.run();
  EXPECT_FALSE(waits->finished());
  EXPECT_FALSE(world.engine(0).idle());
  (void)recv(world, 0, 0, small_in);
  (void)recv(world, 0, 0, large_in);
  ASSERT_TRUE(world.run());
  EXPECT_TRUE(waits->finished());
  EXPECT_EQ(small_in, small);
  EXPECT_EQ(large_in, large);
  // The recv first.
  Data again(5000, -1);
  (void)recv(world, 0, 0, again, 3);
  (void)send(world, 0, 0, large, 3);
  ASSERT_TRUE(world.run());
  EXPECT_EQ(again, large);
}

class Disagreeing : public testing::TestWithParam<std::pair<std::size_t, std::size_t>> {};

TEST_P(Disagreeing, EndsNameBothCallsAndNothingIsWritten) {
  const auto [sent, expected] = GetParam();
  for (const bool recv_first : {true, false}) {
    for (const int peer : {1, 0}) {
      SimOptions o;
      SimWorld world(o, small_options());
      const Data out = values(1, sent);
      Data in(std::max(sent, expected), -1);
      Data part(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(expected));
      if (recv_first) (void)recv(world, peer, 0, part, 6);
      (void)send(world, 0, peer, out, 6);
      (void)world.run();
      MessagePtr call;
      if (!recv_first) call = recv(world, peer, 0, part, 6);
      (void)world.run();
      ASSERT_TRUE(world.error(peer));
      const Error& error = *world.error(peer);
      EXPECT_EQ(error.code(), ErrorCode::mismatch);
      EXPECT_EQ(error.peer(), 0);
      const std::string text = error.what();
      EXPECT_NE(text.find("rank 0 called send(" + std::to_string(sent) + " x int32, to " +
                          std::to_string(peer) + ", tag 6)"),
                std::string::npos)
          << text;
      EXPECT_NE(text.find("called recv(" + std::to_string(expected) + " x int32, from 0, tag 6)"),
                std::string::npos)
          << text;
      EXPECT_EQ(part, Data(expected, -1));
      if (call != nullptr) {
        EXPECT_TRUE(call->finished() && call->error());
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Counts, Disagreeing,
                         testing::Values(std::pair<std::size_t, std::size_t>{3, 4},
                                         std::pair<std::size_t, std::size_t>{0, 3},
                                         std::pair<std::size_t, std::size_t>{3, 3000},
                                         std::pair<std::size_t, std::size_t>{3000, 3},
                                         std::pair<std::size_t, std::size_t>{3000, 3001},
                                         std::pair<std::size_t, std::size_t>{3000, 0}));

TEST(Types, ThatDifferAreAMismatchThoughTheBytesAreAsMany) {
  SimOptions o;
  SimWorld world(o, small_options());
  std::vector<float> out(5, 1.f);
  Data in(5, -1);
  (void)world.engine(0).submit({CallKind::send, DataType::float32, 1, 0, 5},
                               reinterpret_cast<const std::byte*>(out.data()), nullptr);
  (void)recv(world, 1, 0, in);
  (void)world.run();
  ASSERT_TRUE(world.error(1));
  const std::string text = world.error(1)->what();
  EXPECT_NE(text.find("5 x float32"), std::string::npos) << text;
  EXPECT_NE(text.find("5 x int32"), std::string::npos) << text;
}

TEST(Deadline, OfARecvSaysWhoHasNotCalledWhat) {
  SimOptions o;
  SimWorld world(o, small_options(), kSecond);
  Data in(5);
  const MessagePtr call = recv(world, 0, 1, in, 3);
  for (int i = 1; i <= 3; ++i) world.fabric().wake_at(0, i * kSecond / 2 + i * kMillisecond);
  (void)world.run();
  ASSERT_TRUE(world.error(0));
  EXPECT_EQ(world.error(0)->code(), ErrorCode::timeout);
  EXPECT_EQ(world.error(0)->operation(), "recv(5 x int32, from 1, tag 3)");
  EXPECT_EQ(world.error(0)->sequence(), Error::kNoSequence);
  EXPECT_EQ(std::string(world.error(0)->what()),
            "recv(5 x int32, from 1, tag 3) on rank 0 made no progress for 1000 ms: it waits for "
            "rank 1 to call send(to 0, tag 3); raise PACELINE_TIMEOUT if ranks are rightly that "
            "far apart");
  ASSERT_TRUE(call->finished());
  EXPECT_EQ(call->error()->operation(), "recv(5 x int32, from 1, tag 3)");
  const Vitals::MessageStand stand = world.engine(0).vitals().message_stand();
  EXPECT_EQ(stand.call, call->call);
  EXPECT_GT(stand.since, 0);
}

TEST(Deadline, OfASendThatNobodyReceives) {
  SimOptions o;
  SimWorld world(o, small_options(), kSecond);
  const Data out = values(1, 5000);
  Data in(1, -1);
  (void)send(world, 0, 1, out, 3);
  (void)recv(world, 1, 0, in, 4);  // another one
  for (int i = 1; i <= 4; ++i) world.fabric().wake_at(0, i * kSecond / 2 + i * kMillisecond);
  (void)world.run();
  ASSERT_TRUE(world.error(0));
  const std::string text = world.error(0)->what();
  EXPECT_NE(text.find("it waits for rank 1 to call recv(from 0, tag 3)"), std::string::npos)
      << text;
}

// The clock of a message runs only while it is the first of its tag.
TEST(Deadline, DoesNotRunForThoseThatWaitInLine) {
  SimOptions o;
  SimWorld world(o, small_options(), kSecond);
  std::vector<Data> in(6, Data(2, -1));
  for (Data& data : in) (void)recv(world, 0, 1, data);
  const Data out = values(1, 2);
  for (int i = 1; i <= 6; ++i) {
    // Three quarters of the time-out each, so four and a half in all.
    world.fabric().wake_at(0, i * 3 * kSecond / 4);
    (void)world.run();
    (void)send(world, 1, 0, out);
    (void)world.run();
    ASSERT_FALSE(world.error(0)) << world.error(0)->what();
  }
  EXPECT_EQ(in.back(), out);
  EXPECT_TRUE(world.engine(0).idle());
}

TEST(Death, OfThePeerIsNamed) {
  SimOptions o;
  o.detection = kMillisecond;
  SimWorld world(o, small_options());
  Data in(5000, -1);
  const MessagePtr call = recv(world, 1, 0, in);
  world.fabric().kill_at(0, 10'000);
  world.fabric().wake_at(1, 5 * kMillisecond);
  (void)world.run();
  ASSERT_TRUE(world.error(1));
  EXPECT_EQ(world.error(1)->peer(), 0) << world.error(1)->what();
  ASSERT_TRUE(call->finished());
  EXPECT_EQ(in, Data(5000, -1));
}

TEST(Failure, EndsEveryMessageWhereverItStands) {
  SimOptions o;
  o.mailbox = 1;
  SimWorld world(o, small_options());
  const Data out = values(1, 5000);
  std::vector<Data> in(4, Data(5000, -1));
  std::vector<MessagePtr> calls;
  calls.push_back(send(world, 0, 1, out, 1));
  calls.push_back(send(world, 0, 0, out, 2));
  calls.push_back(recv(world, 0, 1, in[0], 3));
  (void)world.run();
  calls.push_back(send(world, 0, 1, out, 4));  // nothing has been done about this one
  world.engine(0).fail(Error(ErrorCode::aborted, "enough"));
  calls.push_back(recv(world, 0, 1, in[1], 5));
  for (const MessagePtr& call : calls) {
    ASSERT_TRUE(call->finished()) << call->call.text();
    ASSERT_TRUE(call->error());
    EXPECT_STREQ(call->error()->what(), "enough");
    EXPECT_EQ(call->error()->operation(), call->call.text());
  }
  EXPECT_TRUE(world.engine(0).idle());
}

TEST(Records, RememberMessagesAmongTheCalls) {
  SimOptions o;
  SimWorld world(o, small_options());
  std::vector<double> a(2, 1.0), b(2, 1.0);
  Data in(3, -1), never(4, -1);
  const Data out = values(1, 3);
  (void)all_reduce(world, 0, a);
  (void)all_reduce(world, 1, b);
  ASSERT_TRUE(world.run());
  (void)send(world, 1, 0, out, 5);
  (void)recv(world, 0, 1, in, 5);
  ASSERT_TRUE(world.run());
  (void)recv(world, 0, 1, never, 6);
  (void)world.run();
  const auto records = world.engine(0).records();
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].kind, CallKind::collective);
  EXPECT_EQ(records[1].kind, CallKind::recv);
  EXPECT_EQ(records[1].peer, 1);
  EXPECT_EQ(records[1].tag, 5);
  EXPECT_EQ(records[1].bytes, 12u);
  EXPECT_EQ(records[1].outcome, Outcome::succeeded);
  EXPECT_GE(records[1].finished, records[1].submitted);
  EXPECT_EQ(records[2].outcome, Outcome::running);
  EXPECT_EQ(records[2].waited_for, 1);
  EXPECT_EQ(text_of(records[1]), "recv(3 x int32, from 1, tag 5)");
  EXPECT_EQ(text_of(records[0]), "all_reduce(2 x float64, sum)");
}

// A large message takes one latency for the offer, one for the request, and the time of its bytes.
TEST(Time, ALargeMessageIsPutOnce) {
  SimOptions o;
  o.latency = 1000;
  o.nanoseconds_per_byte = 0.1;
  SimWorld world(o, PlanOptions{});
  const Data warm = values(0, 1);
  Data warm_in(1);
  (void)send(world, 0, 1, warm);
  (void)recv(world, 1, 0, warm_in);
  ASSERT_TRUE(world.run());
  const Data out = values(1, 1 << 20);
  Data in(out.size(), -1);
  const Nanoseconds before = world.fabric().now();
  (void)send(world, 0, 1, out);
  (void)recv(world, 1, 0, in);
  ASSERT_TRUE(world.run());
  EXPECT_EQ(in, out);
  const double taken = static_cast<double>(world.fabric().now() - before);
  const double bytes = 0.1 * 4 * (1 << 20);
  EXPECT_GE(taken, bytes + 3000);
  EXPECT_LE(taken, bytes + 6000);
}

}  // namespace
}  // namespace paceline::engine
