// Who is to blame, from what all ranks say: every cause, and which of several wins.
#include "communicator/verdict.h"

#include <gtest/gtest.h>

namespace paceline {
namespace {

using engine::Call;

const Call kSum{Collective::all_reduce, DataType::float32, ReduceOp::sum, Algorithm::ring, 0, 100};
const Call kMax{Collective::all_reduce, DataType::float32, ReduceOp::max, Algorithm::ring, 0, 100};

/// A rank in call `sequence`, waiting for `peer`.
Testimony waiting(std::uint64_t sequence, int peer, const Call& call = kSum) {
  Testimony t;
  t.finished = sequence;
  t.entered = sequence + 1;
  for (std::uint64_t s = 0; s < sequence; ++s) t.calls[s] = kSum;
  t.calls[sequence] = call;
  t.stand = {3 * kSecond, engine::Phase::running, peer, 5, 12};
  t.wire = "tcp";
  return t;
}

/// A rank outside the library that has finished `finished` calls.
Testimony outside(std::uint64_t finished, Nanoseconds quiet = 0) {
  Testimony t;
  t.entered = t.finished = finished;
  for (std::uint64_t s = 0; s < finished; ++s) t.calls[s] = kSum;
  t.quiet_for = quiet;
  return t;
}

Hang hang(std::vector<std::optional<Testimony>> ranks, std::uint64_t sequence = 7) {
  Hang h;
  h.sequence = sequence;
  h.call = kSum;
  h.waited = 60 * kSecond;
  h.ranks = std::move(ranks);
  h.name = [](int rank) { return "rank " + std::to_string(rank) + " (node, pid 1)"; };
  return h;
}

TEST(Verdict, ARankThatCallsSomethingElseIsNamedWithBothCalls) {
  const Verdict v = judge(hang({waiting(7, 1), waiting(7, 2), waiting(7, 0, kMax), std::nullopt}));
  EXPECT_EQ(v.code, ErrorCode::mismatch);
  EXPECT_EQ(v.culprit, 2);
  EXPECT_EQ(v.text,
            "rank 2 (node, pid 1) called all_reduce(100 x float32, max) as call #7 where ranks 0 "
            "and 1 called all_reduce(100 x float32, sum): all ranks must make the same calls in "
            "the same order");
}

TEST(Verdict, TheFirstDifferenceCountsAlsoIfItIsLongPast) {
  Testimony odd = waiting(9, 0);
  odd.calls[6] = kMax;
  const Verdict v = judge(hang({waiting(7, 1), odd}));
  EXPECT_EQ(v.culprit, 1);
  EXPECT_NE(v.text.find("as call #6"), std::string::npos) << v.text;
}

TEST(Verdict, ARankThatDoesNotAnswerIsStopped) {
  const Verdict v = judge(hang({waiting(7, 1), std::nullopt, outside(7)}));
  EXPECT_EQ(v.code, ErrorCode::timeout);
  EXPECT_EQ(v.culprit, 1);
  EXPECT_EQ(v.text,
            "rank 1 (node, pid 1) does not answer (stopped, or cut off from the others) during "
            "call #7, all_reduce(100 x float32, sum), in which rank 0 waits (rank 0 for 60 s)");
}

TEST(Verdict, ARankThatHasLeftIsKnownToItsNeighbours) {
  Testimony neighbour = waiting(7, 0);
  neighbour.departed = {1};
  const Hang h = hang({waiting(7, 1), std::nullopt, neighbour, std::nullopt});
  EXPECT_EQ(judge(h).code, ErrorCode::peer_failed);
  EXPECT_EQ(judge(h).culprit, 1);
  EXPECT_EQ(judge(h).text,
            "rank 1 (node, pid 1) has left the communicator; call #7, all_reduce(100 x float32, "
            "sum), in which ranks 0 and 2 wait (rank 0 for 60 s), cannot finish without it");
  EXPECT_EQ(judge_broken_wire(h)->text, judge(h).text);
}

TEST(Verdict, ABrokenWireIsNobodysFaultButOfWhoLeftOrDiffers) {
  EXPECT_EQ(judge_broken_wire(hang({waiting(7, 1), std::nullopt, outside(7)})), std::nullopt);
  EXPECT_EQ(judge_broken_wire(hang({waiting(7, 1), waiting(7, 0, kMax)}))->code,
            ErrorCode::mismatch);
}

TEST(Verdict, ARankThatIsElsewhereIsNamedWithItsLastCall) {
  const Verdict v =
      judge(hang({waiting(7, 3), waiting(7, 3), waiting(7, 0), outside(7, 59 * kSecond)}));
  EXPECT_EQ(v.culprit, 3);
  EXPECT_EQ(v.text,
            "rank 3 (node, pid 1) has not made call #7, all_reduce(100 x float32, sum), in which "
            "ranks 0-2 wait (rank 0 for 60 s); it has finished call #6, all_reduce(100 x float32, "
            "sum), and made none since for at least 59 s; raise PACELINE_TIMEOUT if ranks are "
            "rightly that far apart");
  const Verdict none = judge(hang({waiting(0, 1), outside(0)}, 0));
  EXPECT_NE(none.text.find("it has made no call yet"), std::string::npos) << none.text;
  const Verdict many = judge(hang({waiting(7, 1), outside(7), outside(7), outside(6), outside(7)}));
  EXPECT_NE(many.text.find("ranks 1-4 have not made call #7"), std::string::npos) << many.text;
}

TEST(Verdict, ACircleSaysWhatDoesNotArrive) {
  const Verdict v = judge(hang({waiting(7, 1), waiting(7, 2), waiting(7, 1)}));
  EXPECT_EQ(v.code, ErrorCode::timeout);
  EXPECT_EQ(v.culprit, 1);
  EXPECT_EQ(v.text,
            "call #7, all_reduce(100 x float32, sum) does not go on (rank 0 has waited for 60 s): "
            "rank 0 waits for rank 1 over tcp at step 5 of 12, rank 1 waits for rank 2 over tcp at "
            "step 5 of 12, rank 2 waits for rank 1 over tcp at step 5 of 12: what they sent each "
            "other has not arrived");
}

TEST(Verdict, AChainEndsAtWhoMovesOrHasFinished) {
  Testimony slow = waiting(7, 0);
  slow.stand.since = 0;
  EXPECT_EQ(judge(hang({waiting(7, 1), waiting(7, 2), slow})).culprit, 2);
  const Verdict done = judge(hang({waiting(7, 1), outside(8)}));
  EXPECT_EQ(done.culprit, 1);
  EXPECT_NE(done.text.find("rank 1 has finished call #7: what it sent has not arrived"),
            std::string::npos)
      << done.text;
}

TEST(Verdict, WhoIsFurthestBehindHasTheCause) {
  // Rank 2 is still in call #5, for which rank 3 does not send.
  Testimony ahead = waiting(7, 0);
  const Verdict v = judge(hang({waiting(7, 1), waiting(7, 2), waiting(5, 3), ahead}));
  EXPECT_NE(v.text.find("rank 2 waits for rank 3"), std::string::npos) << v.text;
}

TEST(Verdict, LongChainsAreShortened) {
  std::vector<std::optional<Testimony>> ranks;
  for (int r = 0; r < 100; ++r) ranks.emplace_back(waiting(7, (r + 1) % 100));
  const std::string text = judge(hang(std::move(ranks))).text;
  EXPECT_LT(text.size(), 900u) << text;
  EXPECT_NE(text.find("..."), std::string::npos) << text;
}

TEST(Verdict, ARankThatWaitsInARecvHasNotMadeTheCallForThatReason) {
  Testimony in_recv = outside(7, 3 * kSecond);
  in_recv.message = "recv(3 x int64, from 0, tag 7)";
  in_recv.message_peer = 0;
  in_recv.message_waited = 58 * kSecond;
  const Verdict v = judge(hang({waiting(7, 1), in_recv}));
  EXPECT_EQ(v.code, ErrorCode::timeout);
  EXPECT_EQ(v.culprit, 1);
  EXPECT_EQ(v.text,
            "rank 1 (node, pid 1) has not made call #7, all_reduce(100 x float32, sum), in which "
            "rank 0 waits (rank 0 for 60 s); it has waited for 58 s in recv(3 x int64, from 0, tag "
            "7)");
}

MessageHang message_hang(std::vector<std::optional<Testimony>> ranks) {
  MessageHang h;
  h.call = {CallKind::recv, DataType::float32, 1, 5, 10};
  h.waited = 60 * kSecond;
  h.awaited = "rank 1 (node, pid 1) to call send(to 0, tag 5)";
  h.ranks = std::move(ranks);
  h.name = [](int rank) { return "rank " + std::to_string(rank) + " (node, pid 1)"; };
  return h;
}

TEST(MessageVerdict, FollowsWhoWaitsForWhom) {
  Testimony in_send = outside(7);
  in_send.message = "send(9 x int8, to 2, tag 0)";
  in_send.message_peer = 2;
  in_send.message_waited = 59 * kSecond;
  const Verdict v =
      judge_message(message_hang({outside(7), in_send, waiting(7, 3), outside(3, 70 * kSecond)}));
  EXPECT_EQ(v.code, ErrorCode::timeout);
  EXPECT_EQ(v.culprit, 3);
  EXPECT_EQ(v.text,
            "recv(10 x float32, from 1, tag 5) on rank 0 has waited for 60 s for rank 1 (node, pid "
            "1) to call send(to 0, tag 5); rank 1 has waited for 59 s in send(9 x int8, to 2, tag "
            "0); rank 2 waits in call #7, all_reduce(100 x float32, sum), for rank 3; rank 3 is in "
            "no call, and has made none for at least 70 s; raise PACELINE_TIMEOUT if ranks are "
            "rightly that far apart");
}

TEST(MessageVerdict, EndsWhereAChainBitesItsTail) {
  const Verdict v = judge_message(message_hang({outside(7), waiting(7, 0)}));
  EXPECT_EQ(v.culprit, 1);
  EXPECT_NE(
      v.text.find("rank 1 waits in call #7, all_reduce(100 x float32, sum), for rank 0; raise"),
      std::string::npos)
      << v.text;
}

TEST(MessageVerdict, APeerThatHasLeftOrIsStopped) {
  Testimony neighbour = outside(7);
  neighbour.departed = {1};
  const Verdict left = judge_message(message_hang({outside(7), std::nullopt, neighbour}));
  EXPECT_EQ(left.code, ErrorCode::peer_failed);
  EXPECT_EQ(left.text,
            "rank 1 (node, pid 1) has left the communicator; recv(10 x float32, from 1, tag 5) on "
            "rank 0 cannot finish without it");
  const Verdict stopped = judge_message(message_hang({outside(7), std::nullopt}));
  EXPECT_EQ(stopped.code, ErrorCode::timeout);
  EXPECT_EQ(stopped.culprit, 1);
  EXPECT_NE(stopped.text.find("rank 1 (node, pid 1) does not answer"), std::string::npos)
      << stopped.text;
}

TEST(Verdict, ProgressOfAllInALine) {
  EXPECT_EQ(progress_text({waiting(7, 1), waiting(7, 2), outside(7), std::nullopt, outside(0)}),
            "rank 4 is before call #0; rank 2 is done with call #6; ranks 0 and 1 are in call #7; "
            "rank 3 is not known to be anywhere");
}

TEST(Verdict, Words) {
  EXPECT_EQ(rank_list({3}), "rank 3");
  EXPECT_EQ(rank_list({0, 2}), "ranks 0 and 2");
  EXPECT_EQ(rank_list({0, 1, 2, 7, 9, 10}), "ranks 0-2, 7, 9 and 10");
  EXPECT_EQ(duration_text(250 * kMillisecond), "250 ms");
  EXPECT_EQ(duration_text(1500 * kMillisecond), "1.5 s");
  EXPECT_EQ(duration_text(75 * kSecond), "75 s");
}

TEST(Testimony, IsReadBackAndGarbageIsRefused) {
  Testimony t = waiting(7, 3);
  t.quiet_for = 12;
  t.failed = true;
  t.departed = {2, 5};
  t.message = "recv(3 x int64, from 0, tag 7)";
  t.message_peer = 0;
  t.message_waited = 11;
  const Bytes bytes = t.write();
  const auto back = Testimony::read(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->entered, 8u);
  EXPECT_EQ(back->calls, t.calls);
  EXPECT_EQ(back->stand.waiting_for, 3);
  EXPECT_EQ(back->stand.steps, 12u);
  EXPECT_EQ(back->wire, "tcp");
  EXPECT_TRUE(back->failed);
  EXPECT_EQ(back->departed, t.departed);
  EXPECT_EQ(back->message, t.message);
  EXPECT_EQ(back->message_peer, 0);
  EXPECT_EQ(back->message_waited, 11);
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_FALSE(Testimony::read(ConstBytes(bytes).first(n))) << n;
  }
}

TEST(Testimony, IsTakenFromTheVitals) {
  engine::Vitals vitals;
  for (std::uint64_t s = 0; s < 100; ++s) {
    vitals.enter(s, s == 99 ? kMax : kSum);
    if (s < 99) vitals.leave();
  }
  vitals.stopped({50, engine::Phase::running, 2, 1, 4});
  const engine::MessageCall recv{CallKind::recv, DataType::int64, 4, 0x7fffffff, 3};
  vitals.message_waits({20, recv});
  const Testimony t = take_testimony(vitals, 80);
  EXPECT_EQ(t.message, "recv(3 x int64, from 4, tag 2147483647)");
  EXPECT_EQ(t.message_peer, 4);
  EXPECT_EQ(t.message_waited, 60);
  EXPECT_EQ(t.entered, 100u);
  EXPECT_EQ(t.finished, 99u);
  EXPECT_TRUE(t.inside());
  EXPECT_EQ(t.calls.size(), 16u);
  EXPECT_EQ(t.calls.at(99), kMax);
  EXPECT_EQ(t.stand.since, 30);
  EXPECT_EQ(vitals.call_at(35), std::nullopt) << "only the latest are remembered";
}

}  // namespace
}  // namespace paceline
