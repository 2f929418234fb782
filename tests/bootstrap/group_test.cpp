// Inquiries and the board: what concerns all ranks, over the control graph.
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "bootstrap/group_messages.h"
#include "support.h"

namespace paceline::bootstrap {
namespace {

/// A world of threads in which every rank testifies with its number and the question.
class Group : public Timed {
 protected:
  void meet(int size) {
    ranks_ = create_all(configs_of(size), make_process_store());
    expect_all_met(ranks_);
    for (int rank = 0; rank < size; ++rank) {
      Events events;
      events.testify = [rank](Topic, ConstBytes question) {
        Bytes result(question.begin(), question.end());
        result.push_back(static_cast<std::byte>(rank));
        return result;
      };
      at(rank).watch(std::move(events));
    }
  }
  void TearDown() override {
    for (Outcome& rank : ranks_) {
      if (rank.bootstrap) rank.bootstrap->leave();
    }
  }
  Bootstrap& at(int rank) { return *ranks_[static_cast<std::size_t>(rank)].bootstrap; }

  std::optional<Testimonies> ask(int rank, Topic topic, const std::string& question,
                                 milliseconds limit = milliseconds(60'000)) {
    std::promise<std::optional<Testimonies>> promise;
    at(rank).inquire(topic, to_bytes(question), limit,
                     [&](std::optional<Testimonies> t) { promise.set_value(std::move(t)); });
    return promise.get_future().get();
  }

  std::vector<Outcome> ranks_;
};

TEST_F(Group, AnInquiryHearsEveryRankWhoeverAsks) {
  for (const int size : {1, 2, 3, 5, 8, 13, 32}) {
    meet(size);
    for (const int asker : {0, size / 2, size - 1}) {
      const auto testimonies = ask(asker, Topic::status, "what?");
      ASSERT_TRUE(testimonies);
      ASSERT_EQ(testimonies->size(), static_cast<std::size_t>(size)) << asker << " of " << size;
      for (const auto& [rank, said] : *testimonies) {
        Bytes expected = to_bytes("what?");
        expected.push_back(static_cast<std::byte>(rank));
        EXPECT_EQ(said, expected);
      }
    }
    TearDown();
  }
}

TEST_F(Group, ManyInquiriesAtOnceDoNotMixUp) {
  meet(9);
  const auto errors = in_parallel(9, [&](int rank) {
    for (int i = 0; i < 20; ++i) {
      const auto testimonies = ask(rank, Topic::status, std::to_string(rank * 100 + i));
      ASSERT_TRUE(testimonies);
      ASSERT_EQ(testimonies->size(), 9u);
      Bytes expected = to_bytes(std::to_string(rank * 100 + i));
      expected.push_back(std::byte{4});
      EXPECT_EQ(testimonies->at(4), expected);
    }
  });
  for (const auto& error : errors) EXPECT_FALSE(error) << text_of(error);
}

// All ask for the one to blame at the same time: the lowest gets the answers, the others give way.
TEST_F(Group, OfInquiriesAboutAHangOneCounts) {
  meet(8);
  std::atomic<int> answered{0};
  const auto errors = in_parallel(8, [&](int rank) {
    if (ask(rank, Topic::hang, "who?")) ++answered;
  });
  EXPECT_GE(answered.load(), 1);
  EXPECT_TRUE(ask(0, Topic::hang, "who?"));
}

TEST_F(Group, TheBoardReachesEverybodyAndTheFirstValueStays) {
  meet(11);
  const auto errors = in_parallel(11, [&](int rank) {
    const auto board = at(rank).board();
    if (rank == 7) board->set("where", "here");
    EXPECT_EQ(board->get("where", milliseconds(60'000)), "here");
    if (rank == 3) board->set("where", "there");
    board->set("mine/" + std::to_string(rank), std::to_string(rank * rank));
    for (int other = 0; other < 11; ++other) {
      EXPECT_EQ(board->get("mine/" + std::to_string(other), milliseconds(60'000)),
                std::to_string(other * other));
    }
    EXPECT_EQ(board->get("where", milliseconds(10)), "here");
  });
  for (const auto& error : errors) EXPECT_FALSE(error) << text_of(error);
  EXPECT_THROW((void)at(2).board()->get("nothing", milliseconds(20)), Error);
  const auto board = at(2).board();
  at(2).leave();
  try {
    (void)board->get("nothing", milliseconds(10'000));
    ADD_FAILURE() << "a board that was left gave an answer";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::bootstrap_failed) << e.what();
  }
}

TEST_F(Group, TheBoardWorksAfterAFailure) {
  meet(6);
  at(4).announce_failure({ErrorCode::aborted, 4, 4, 0, "enough"});
  at(5).board()->set("again", "yes");
  for (int rank = 0; rank < 6; ++rank) {
    EXPECT_EQ(at(rank).board()->get("again", milliseconds(60'000)), "yes");
  }
}

TEST(GroupMessages, AreReadBackAndGarbageIsRefused) {
  const Inquiry inquiry{3, 9, Topic::status, 1500, to_bytes("q")};
  const auto asked = Inquiry::decode(inquiry.encode());
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->number, 9u);
  EXPECT_EQ(asked->question, inquiry.question);
  const Answer answer{3, 9, true, {{0, to_bytes("a")}, {7, {}}}};
  const auto answered = Answer::decode(answer.encode());
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->testimonies, answer.testimonies);
  const Decision decision{2, 1, {1, 4, 6}};
  EXPECT_EQ(Decision::decode(decision.encode())->ranks, decision.ranks);
  EXPECT_EQ(Gone::decode(Gone{{5}}.encode())->ranks, (std::vector<std::uint32_t>{5}));
  EXPECT_EQ(Note::decode(Note{"k", to_bytes("v")}.encode())->key, "k");

  const auto refuses_parts = [](const Bytes& good, const auto& decode) {
    for (std::size_t length = 0; length < good.size(); ++length) {
      EXPECT_FALSE(decode(ConstBytes(good).first(length))) << length << " of " << good.size();
    }
  };
  refuses_parts(inquiry.encode(), Inquiry::decode);
  refuses_parts(answer.encode(), Answer::decode);
  refuses_parts(Gone{{5}}.encode(), Gone::decode);
  refuses_parts(Note{"k", to_bytes("v")}.encode(), Note::decode);
  refuses_parts(decision.encode(), [](ConstBytes part) { return Decision::decode(part); });
  Bytes huge = WireWriter().u32(0xffffffff).take();
  EXPECT_FALSE(Gone::decode(huge));
  EXPECT_FALSE(Inquiry::decode(WireWriter().u32(0).u32(1).u8(9).u32(1).blob({}).take()));
}

}  // namespace
}  // namespace paceline::bootstrap
