// Who is left: after a failure, while more ranks die, stop, or just do not ask.
#include <gtest/gtest.h>

#include <random>

#include "job.h"

namespace paceline::bootstrap {
namespace {

class Survivors : public Job {
 protected:
  Process& at(int rank) { return job_[static_cast<std::size_t>(rank)]; }

  // Skips the news of the failure.
  std::string said(int rank, milliseconds time = milliseconds(60'000)) {
    for (;;) {
      const auto line = at(rank).line(time);
      if (!line) return "(nothing)";
      if (!line->starts_with("failed ")) return *line;
    }
  }
};

TEST_F(Survivors, AgreeOnThoseWhoAreLeft) {
  for (const int victim : {0, 2, 5}) {
    start(6);
    at(victim).kill(SIGKILL);
    std::string expected = "survivors";
    for (int rank = 0; rank < 6; ++rank) {
      if (rank != victim) expected += " " + std::to_string(rank);
    }
    for (int rank = 0; rank < 6; ++rank) {
      if (rank != victim) at(rank).tell("survivors 60000");
    }
    for (int rank = 0; rank < 6; ++rank) {
      if (rank == victim) continue;
      EXPECT_EQ(said(rank), expected);
    }
    job_.clear();
  }
}

TEST_F(Survivors, OfAnAbortAreAllAndOfTheNextOneToo) {
  start(5);
  at(3).tell("abort enough");
  for (int round = 0; round < 3; ++round) {
    for (Process& process : job_) process.tell("survivors 60000");
    for (int rank = 0; rank < 5; ++rank) EXPECT_EQ(said(rank), "survivors 0 1 2 3 4");
  }
  at(1).kill(SIGKILL);
  for (const int rank : {0, 2, 3, 4}) at(rank).tell("survivors 60000");
  for (const int rank : {0, 2, 3, 4}) EXPECT_EQ(said(rank), "survivors 0 2 3 4");
}

TEST_F(Survivors, ARankThatDoesNotAskIsLeftOutAndHearsIt) {
  start(4);
  const std::string briefly = "survivors " + std::to_string(patience(milliseconds(2500)).count());
  at(0).tell("abort enough");
  for (const int rank : {0, 1, 2}) at(rank).tell(briefly);
  for (const int rank : {0, 1, 2}) EXPECT_EQ(said(rank), "survivors 0 1 2");
  at(3).tell(briefly);
  const std::string text = said(3);
  EXPECT_TRUE(contains(text, "threw rank 3 (host ") && contains(text, "not among the survivors"))
      << text;
}

TEST_F(Survivors, AStoppedRankIsTakenForDeadAndHearsItWhenItComesBack) {
  start(4, patience(milliseconds(3000)).count());
  at(1).kill(SIGSTOP);
  expect_news({1}, milliseconds(60'000), {"failed 7 1 "});
  for (const int rank : {0, 2, 3}) at(rank).tell("survivors 60000");
  for (const int rank : {0, 2, 3}) EXPECT_EQ(said(rank), "survivors 0 2 3");
  at(1).kill(SIGCONT);
  at(1).tell("survivors 60000");
  const std::string text = said(1);
  EXPECT_TRUE(contains(text, "threw rank 1 (host ") && contains(text, "take this one for dead"))
      << text;
}

TEST_F(Survivors, RanksThatHaveLeftAreNotWaitedFor) {
  start(8);
  for (const int rank : {0, 1, 5}) leave(rank);
  at(7).kill(SIGKILL);
  for (const int rank : {2, 3, 4, 6}) at(rank).tell("survivors 60000");
  for (const int rank : {2, 3, 4, 6}) EXPECT_EQ(said(rank), "survivors 2 3 4 6");
}

// More die while the others agree, at random moments: leaders too. Nobody hangs, and all who are
// told a list are told the same.
TEST_F(Survivors, OneListHoweverManyDieMeanwhile) {
  std::mt19937 random(11);
  for (int round = 0; round < 12; ++round) {
    const int size = 4 + round % 5;
    start(size);
    std::set<int> dead;
    const auto strike = [&](int rank) {
      at(rank).kill(SIGKILL);
      dead.insert(rank);
    };
    strike(static_cast<int>(random() % static_cast<unsigned>(size)));
    for (int rank = 0; rank < size; ++rank) {
      if (!dead.contains(rank)) at(rank).tell("survivors 60000");
    }
    ::usleep(static_cast<unsigned>(random() % 8000));
    strike(round % 2);  // mostly the leader
    std::string list;
    for (int rank = 0; rank < size; ++rank) {
      if (dead.contains(rank)) continue;
      const std::string text = said(rank);
      EXPECT_TRUE(text.starts_with("survivors ")) << "round " << round << ": " << text;
      if (list.empty()) list = text;
      EXPECT_EQ(text, list) << "round " << round << ", rank " << rank;
      EXPECT_TRUE(contains(text + " ", " " + std::to_string(rank) + " ")) << text;
    }
    job_.clear();
  }
}

}  // namespace
}  // namespace paceline::bootstrap
