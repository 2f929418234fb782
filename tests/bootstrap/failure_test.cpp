// Real processes that are killed, stopped, or leave, and what the others hear of it.
#include <gtest/gtest.h>

#include <random>

#include "job.h"

namespace paceline::bootstrap {
namespace {

using Failure = Job;

/// Sanitized ranks of a loaded machine need longer for everything but the news itself.
// Long before the silence of a dead rank would be noticed.
constexpr milliseconds kSoon = patience(milliseconds(4000));
constexpr milliseconds kLong(60'000);

TEST_F(Failure, AKilledRankIsNamedByEverybodyAtOnce) {
  for (const int victim : {0, 3, 6}) {
    start(7);
    const std::string pid = std::to_string(job_[static_cast<std::size_t>(victim)].pid());
    job_[static_cast<std::size_t>(victim)].kill(SIGKILL);
    const std::string number = std::to_string(victim);
    expect_news({victim}, kSoon,
                {"failed 7 " + number + " rank " + number + " (host ", "pid " + pid + ") died"});
    job_.clear();
  }
}

TEST_F(Failure, TwoKilledAtOnceLeaveNobodyWithoutNews) {
  start(8);
  job_[0].kill(SIGKILL);
  job_[4].kill(SIGKILL);
  expect_news({0, 4}, kSoon, {"failed 7 ", ") died: its control link closed"});
}

TEST_F(Failure, AStoppedRankIsNoticedByItsSilence) {
  start(4, patience(milliseconds(3000)).count());
  job_[2].kill(SIGSTOP);
  expect_news({2}, kLong, {"failed 7 2 rank 2 (host ", "has been silent for"});
  job_[2].kill(SIGCONT);
}

TEST_F(Failure, AShortStopIsForgiven) {
  start(3, patience(milliseconds(3000)).count());
  job_[1].kill(SIGSTOP);
  ::usleep(700'000);
  job_[1].kill(SIGCONT);
  for (Process& process : job_) EXPECT_EQ(process.line(milliseconds(100)), std::nullopt);
  for (Process& process : job_) process.tell("gather");
  for (Process& process : job_) EXPECT_EQ(process.line(kLong), "gathered");
}

TEST_F(Failure, AnAbortReachesAllIncludingItsOrigin) {
  start(7);
  job_[5].tell("abort the loss is not a number");
  expect_news({}, kSoon, {"failed 8 -1 the loss is not a number"});
}

TEST_F(Failure, LeavingIsNoDeathAndNewsStillReachAll) {
  start(9);
  // 3 and 6 had no link with each other: their distance is no power of two, either way round.
  for (const int rank : {0, 1, 2, 4, 5, 7, 8}) leave(rank);
  for (const int rank : {3, 6}) {
    EXPECT_EQ(job_[static_cast<std::size_t>(rank)].line(milliseconds(100)), std::nullopt);
  }
  job_[3].kill(SIGKILL);
  expect_news({0, 1, 2, 3, 4, 5, 7, 8}, kLong, {"failed 7 3 rank 3 (host "});
}

TEST_F(Failure, AllMayLeaveAtOnce) {
  start(8);
  for (Process& process : job_) process.tell("leave");
  for (Process& process : job_) EXPECT_EQ(process.line(kLong), "left");
  for (Process& process : job_) {
    process.end_input();
    EXPECT_EQ(process.wait(), 0);
  }
}

TEST_F(Failure, ADeathDuringAnAllGatherEndsIt) {
  start(5);
  for (const int rank : {0, 1, 2, 3}) job_[static_cast<std::size_t>(rank)].tell("gather");
  ::usleep(100'000);
  job_[4].kill(SIGKILL);
  for (const int rank : {0, 1, 2, 3}) {
    std::set<std::string> kinds;
    for (int i = 0; i < 2; ++i) {
      const auto line = job_[static_cast<std::size_t>(rank)].line(kSoon);
      ASSERT_TRUE(line);
      EXPECT_TRUE(contains(*line, "rank 4 (host ") && contains(*line, "died")) << *line;
      kinds.insert(line->substr(0, 5));
    }
    EXPECT_EQ(kinds, (std::set<std::string>{"faile", "threw"}));
  }
}

// In the middle of the meeting: one has come and dies before the last one comes.
TEST_F(Failure, ADeathWhileTheRanksMeetIsTold) {
  const std::string root = free_root();
  job_.emplace_back(0, 3, root, 10'000);
  job_.emplace_back(1, 3, root, 10'000);
  std::this_thread::sleep_for(patience(milliseconds(2000)));
  job_[1].kill(SIGKILL);
  const auto line = job_[0].line(kLong);
  ASSERT_TRUE(line);
  EXPECT_TRUE(contains(*line, "error rank 1 (host ") && contains(*line, "died while the ranks"))
      << *line;
}

// The ranks of one process, where the service thread is shared.
TEST_F(Failure, ThreadsOfOneProcessHearExactlyOnce) {
  auto ranks = create_all(configs_of(7), make_process_store());
  expect_all_met(ranks);
  std::array<FailureWatch, 7> watches;
  for (std::size_t i = 0; i < 6; ++i) watches[i].watch(*ranks[i].bootstrap);
  ranks[2].bootstrap->announce_failure({ErrorCode::aborted, 2, -1, 5, "first"});
  ranks[5].bootstrap->announce_failure({ErrorCode::aborted, 5, -1, 6, "second"});
  for (std::size_t i = 0; i < 6; ++i) {
    const auto notice = watches[i].wait(kSoon);
    ASSERT_TRUE(notice);
    EXPECT_TRUE(notice->text == "first" || notice->text == "second");
    EXPECT_EQ(notice->sequence, notice->text == "first" ? 5u : 6u);
  }
  // Who watches late hears at once.
  watches[6].watch(*ranks[6].bootstrap);
  EXPECT_TRUE(watches[6].wait(kSoon));
  EXPECT_THROW((void)ranks[0].bootstrap->all_gather({}), Error);
  for (Outcome& rank : ranks) rank.bootstrap->leave();
  for (FailureWatch& watch : watches) EXPECT_EQ(watch.count(), 1);
}

// Some leave at the same time, in any constellation; news from one of the rest reaches the rest.
TEST_F(Failure, WhoeverLeavesTheRestStaysTogether) {
  std::mt19937 random(7);  // the same constellations every time
  for (int round = 0; round < 12; ++round) {
    const int size = 4 + round % 9;
    auto ranks = create_all(configs_of(size), make_process_store());
    expect_all_met(ranks);
    std::vector<FailureWatch> watches(static_cast<std::size_t>(size));
    std::set<int> leaving;
    const int stay = 2 + round % 2;
    while (static_cast<int>(leaving.size()) < size - stay) {
      leaving.insert(static_cast<int>(random() % static_cast<unsigned>(size)));
    }
    int speaker = -1;
    for (int rank = 0; rank < size; ++rank) {
      if (leaving.contains(rank)) continue;
      watches[static_cast<std::size_t>(rank)].watch(
          *ranks[static_cast<std::size_t>(rank)].bootstrap);
      speaker = rank;
    }
    (void)in_parallel(size, [&](int rank) {
      if (leaving.contains(rank)) ranks[static_cast<std::size_t>(rank)].bootstrap->leave();
    });
    ranks[static_cast<std::size_t>(speaker)].bootstrap->announce_failure(
        {ErrorCode::aborted, speaker, -1, 0, "said to the rest"});
    for (int rank = 0; rank < size; ++rank) {
      if (leaving.contains(rank)) continue;
      const auto notice = watches[static_cast<std::size_t>(rank)].wait(kLong);
      ASSERT_TRUE(notice) << "round " << round << ": rank " << rank << " of " << size;
      EXPECT_EQ(notice->text, "said to the rest") << "round " << round;
    }
    for (Outcome& rank : ranks) rank.bootstrap->leave();  // before the watches go
  }
}

}  // namespace
}  // namespace paceline::bootstrap
