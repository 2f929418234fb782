// The flight recorder: what it keeps, what it says of calls that wait, queue and fail, and the
// files.
#include "engine/history.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "engine/history_file.h"
#include "engine/sim_world.h"

namespace paceline::engine {
namespace {

using std::chrono::steady_clock;

Call all_reduce(std::size_t count) {
  return {Collective::all_reduce, DataType::float64, ReduceOp::sum, Algorithm::ring, 0, count};
}

TEST(History, KeepsTheLastCallsOnly) {
  History history(100);  // not a power of two
  EXPECT_TRUE(history.records().empty());
  EXPECT_EQ(history.at(0), nullptr);
  EXPECT_EQ(history.at(Error::kNoSequence), nullptr);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    history.submit(i, all_reduce(i), true);
    history.finish(i, Error::kNoRank, Outcome::succeeded, false);
  }
  const auto records = history.records();
  ASSERT_EQ(records.size(), 100u);
  for (std::size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(records[i].sequence, 900 + i);
    EXPECT_EQ(records[i].count, 900 + i);
    EXPECT_EQ(records[i].bytes, 8 * (900 + i));
    EXPECT_EQ(records[i].outcome, Outcome::succeeded);
  }
  ASSERT_NE(history.at(999), nullptr);
  EXPECT_EQ(history.at(999)->call, all_reduce(999));
  EXPECT_EQ(history.at(100), nullptr);
  EXPECT_EQ(history.at(1000), nullptr);
}

TEST(History, TimesAreThoseOfTheMonotonicClock) {
  History history(64);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const auto before = steady_clock::now();
  history.submit(0, all_reduce(1), true);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  const auto between = steady_clock::now();
  history.finish(0, 5, Outcome::succeeded, false);
  const auto after = steady_clock::now();
  const OperationRecord record = history.records().at(0);
  // The counter is turned into time by what both have said twice: some tens of nanoseconds off.
  constexpr auto kOff = std::chrono::microseconds(100);
  EXPECT_GE(record.submitted, before - kOff);
  EXPECT_LE(record.submitted, between - std::chrono::milliseconds(30) + kOff);
  EXPECT_EQ(record.started, record.submitted);
  EXPECT_GE(record.finished, between - kOff);
  EXPECT_LE(record.finished, after + kOff);
  EXPECT_EQ(record.waited_for, 5);
  EXPECT_EQ(record.waited.count(), 0);
}

TEST(History, ACallThatHardlyWaitedIsSaidToBeShort) {
  History history(64);
  history.submit(0, all_reduce(1), true);
  history.finish(0, Error::kNoRank, Outcome::succeeded, true);
  history.submit(1, all_reduce(1), true);
  history.finish(1, Error::kNoRank, Outcome::succeeded, true);
  const auto records = history.records();
  EXPECT_EQ(records[1].finished - records[1].started, std::chrono::nanoseconds(500));
  EXPECT_GE(records[0].finished, records[0].started);
  EXPECT_LE(records[0].finished, records[1].submitted);
}

TEST(History, ACallStartsWhenTheOneBeforeItHasFinished) {
  History history(64);
  history.submit(0, all_reduce(1), true);
  history.submit(1, all_reduce(2), false);
  history.submit(2, all_reduce(3), false);
  history.finish(0, Error::kNoRank, Outcome::succeeded, false);
  auto records = history.records();
  EXPECT_EQ(records[0].outcome, Outcome::succeeded);
  EXPECT_EQ(records[1].outcome, Outcome::running);
  EXPECT_EQ(records[1].started, records[0].finished);
  EXPECT_GT(records[1].started, records[1].submitted);
  EXPECT_EQ(records[2].outcome, Outcome::queued);
  EXPECT_EQ(records[2].started, steady_clock::time_point{});
  history.finish(1, 3, Outcome::failed, false);
  history.finish(2, Error::kNoRank, Outcome::failed, false);
  records = history.records();
  EXPECT_EQ(records[1].outcome, Outcome::failed);
  EXPECT_EQ(records[2].outcome, Outcome::failed);
  EXPECT_EQ(records[2].started, steady_clock::time_point{});  // it never did
}

TEST(History, RemembersTheLongestWait) {
  History history(64);
  history.submit(0, all_reduce(1), true);
  history.waited(0, 1, 200'000);
  history.waited(0, 2, 900'000);
  history.waited(0, 3, 300'000);
  history.waited(7, 4, 900'000'000);  // of a call that is not known
  history.finish(0, 5, Outcome::succeeded, false);
  const OperationRecord record = history.records().at(0);
  EXPECT_EQ(record.waited_for, 2);
  EXPECT_EQ(record.waited.count(), 900);
}

TEST(History, TheEngineWritesIt) {
  transport::SimOptions sim;
  sim.ranks = 3;
  SimWorld world(sim, PlanOptions{});
  std::vector<std::vector<double>> data(3, std::vector<double>(5000, 1.0));
  for (int round = 0; round < 2; ++round) {
    for (int r = 0; r < 3; ++r) {
      auto* bytes = reinterpret_cast<std::byte*>(data[static_cast<std::size_t>(r)].data());
      const auto operation = world.engine(r).submit(all_reduce(5000), {bytes, bytes});
      ASSERT_NE(operation, nullptr);
    }
  }
  EXPECT_EQ(world.engine(1).history().records().at(1).outcome, Outcome::queued);
  ASSERT_TRUE(world.run());
  const auto records = world.engine(1).history().records();
  ASSERT_EQ(records.size(), 2u);
  for (const OperationRecord& record : records) {
    EXPECT_EQ(record.outcome, Outcome::succeeded);
    EXPECT_EQ(record.algorithm, Algorithm::ring);
    EXPECT_GE(record.started, record.submitted);
    EXPECT_GT(record.finished, record.started);
    EXPECT_NE(record.waited_for, Error::kNoRank);
  }
  EXPECT_EQ(records[1].started, records[0].finished);
}

TEST(History, FailedCallsAreInIt) {
  transport::SimOptions sim;
  sim.ranks = 2;
  SimWorld world(sim, PlanOptions{});
  std::vector<double> data(10);
  auto* bytes = reinterpret_cast<std::byte*>(data.data());
  Engine& engine = world.engine(0);
  const auto first = engine.submit(all_reduce(10), {bytes, bytes});
  engine.fail(Error(ErrorCode::aborted, "enough"));
  const auto second = engine.submit(all_reduce(10), {bytes, bytes});
  ASSERT_TRUE(first->finished() && second->finished());
  const auto records = engine.history().records();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].outcome, Outcome::failed);
  EXPECT_EQ(records[1].outcome, Outcome::failed);
  EXPECT_NE(records[1].finished, steady_clock::time_point{});
}

class HistoryText : public testing::Test {
 protected:
  HistoryText() {
    const steady_clock::time_point start{std::chrono::nanoseconds(5'000'000'000)};
    OperationRecord done;
    done.sequence = 41;
    done.collective = Collective::all_reduce;
    done.algorithm = Algorithm::direct;
    done.count = 1000;
    done.bytes = 4000;
    done.submitted = start;
    done.started = start + std::chrono::nanoseconds(1500);
    done.finished = start + std::chrono::microseconds(42);
    done.outcome = Outcome::succeeded;
    done.waited_for = 2;
    done.waited = std::chrono::microseconds(17);
    OperationRecord under_way = done;
    under_way.sequence = 42;
    under_way.collective = Collective::barrier;
    under_way.started = done.finished;
    under_way.finished = {};
    under_way.outcome = Outcome::running;
    OperationRecord waiting = under_way;
    waiting.sequence = 43;
    waiting.started = {};
    waiting.outcome = Outcome::queued;
    records_ = {done, under_way, waiting};
  }

  std::vector<OperationRecord> records_;
  HistoryOwner owner_{
      3, 8, "a \"quoted\" \xff name", "node7", 4711, 5'000'100'000, 1'700'000'000'000'000'000};
};

TEST_F(HistoryText, AsJson) {
  const auto json = nlohmann::json::parse(history_text(owner_, records_, HistoryFormat::json));
  EXPECT_EQ(json["rank"], 3);
  EXPECT_EQ(json["size"], 8);
  EXPECT_EQ(json["host"], "node7");
  EXPECT_EQ(json["taken"]["steady_ns"], 5'000'100'000);
  EXPECT_EQ(json["taken"]["unix_ns"], 1'700'000'000'000'000'000);
  ASSERT_EQ(json["calls"].size(), 3u);
  const auto& done = json["calls"][0];
  EXPECT_EQ(done["sequence"], 41);
  EXPECT_EQ(done["call"], "all_reduce");
  EXPECT_EQ(done["algorithm"], "direct");
  EXPECT_EQ(done["bytes"], 4000);
  EXPECT_EQ(done["submitted_ns"], 5'000'000'000);
  EXPECT_EQ(done["finished_ns"], 5'000'042'000);
  EXPECT_EQ(done["outcome"], "succeeded");
  EXPECT_EQ(done["waited_for"], 2);
  EXPECT_EQ(done["waited_us"], 17);
  EXPECT_TRUE(json["calls"][1]["finished_ns"].is_null());
  EXPECT_TRUE(json["calls"][2]["started_ns"].is_null());
}

TEST_F(HistoryText, AsATrace) {
  const auto json =
      nlohmann::json::parse(history_text(owner_, records_, HistoryFormat::chrome_trace));
  const auto& events = json["traceEvents"];
  ASSERT_EQ(events.size(), 4u);  // two names, two calls that ran
  EXPECT_EQ(events[0]["args"]["name"], "rank 3 (node7, pid 4711)");
  const auto& done = events[2];
  EXPECT_EQ(done["ph"], "X");
  EXPECT_EQ(done["pid"], 3);
  EXPECT_EQ(done["ts"], 1.5);
  EXPECT_EQ(done["dur"], 40.5);
  EXPECT_EQ(done["args"]["waited_for"], 2);
  const auto& under_way = events[3];
  EXPECT_EQ(under_way["args"]["outcome"], "running");
  EXPECT_EQ(under_way["dur"], 58.0);  // until the history was taken
  // ts 0 is 100 us before the history was taken.
  EXPECT_EQ(json["otherData"]["origin_unix_ns"], 1'699'999'999'999'900'000);
}

TEST_F(HistoryText, OfASendHasPeerAndTag) {
  OperationRecord sent = records_[0];
  sent.kind = CallKind::send;
  sent.sequence = 7;
  sent.peer = 5;
  sent.tag = 9;
  const auto json = nlohmann::json::parse(history_text(owner_, {sent}, HistoryFormat::json));
  const auto& call = json["calls"].at(0);
  EXPECT_EQ(call["call"], "send");
  EXPECT_EQ(call["peer"], 5);
  EXPECT_EQ(call["tag"], 9);
  EXPECT_FALSE(call.contains("algorithm"));
  const auto trace =
      nlohmann::json::parse(history_text(owner_, {sent}, HistoryFormat::chrome_trace));
  const auto& events = trace["traceEvents"];
  ASSERT_EQ(events.size(), 4u);  // two names, the beginning and the end
  EXPECT_EQ(events[2]["ph"], "b");
  EXPECT_EQ(events[2]["name"], "send");
  EXPECT_EQ(events[2]["id"], 7);
  EXPECT_EQ(events[2]["ts"], 1.5);
  EXPECT_EQ(events[2]["args"]["tag"], 9);
  EXPECT_EQ(events[3]["ph"], "e");
  EXPECT_EQ(events[3]["id"], 7);
  EXPECT_EQ(events[3]["ts"], 42.0);
}

TEST(HistoryFile, ThatCannotBeWrittenIsAnError) {
  try {
    write_file("/nowhere/at/all.json", "{}");
    FAIL() << "no Error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_NE(std::string(error.what()).find("/nowhere/at/all.json"), std::string::npos);
  }
}

}  // namespace
}  // namespace paceline::engine
