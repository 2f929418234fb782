// `paceline explain`, run in this process.
#include <gtest/gtest.h>

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tool/program.h"
#include "tool/report.h"

namespace paceline::tool {
namespace {

struct Said {
  int code = -1;
  std::string out;
  std::string err;
};

Said explain(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "explain");
  std::ostringstream out;
  std::ostringstream err;
  const int code = run(arguments, out, err);
  return {code, out.str(), err.str()};
}

Json asked(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  const Said said = explain(arguments);
  EXPECT_EQ(said.code, kFine) << said.err;
  return Json::parse(said.out);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Explain, SaysWhatAndWhy) {
  const Said said = explain({"--collective", "all_reduce", "--bytes", "1M", "--ranks", "8"});
  EXPECT_EQ(said.code, kFine) << said.err;
  EXPECT_TRUE(has(said.out, "all_reduce of 262144 x float32 (1M bytes), 8 ranks on 1 host, shm\n"))
      << said.out;
  EXPECT_TRUE(has(said.out, "\ntakes direct, segments of ")) << said.out;
  EXPECT_TRUE(has(said.out, "\nbecause the cost model predicts the least time; next comes "))
      << said.out;
  for (const char* algorithm : {"ring ", "recursive_doubling ", "halving_doubling ", "tree "}) {
    EXPECT_TRUE(has(said.out, std::string("\n") + algorithm)) << said.out;
  }
}

TEST(Explain, KnowsRanksThatShareCores) {
  const Said said = explain(
      {"--collective", "all_reduce", "--bytes", "8", "--ranks", "8", "--ranks-per-core", "4"});
  EXPECT_EQ(said.code, kFine) << said.err;
  EXPECT_TRUE(has(said.out, "8 ranks on 1 host, 4 to a core, shm\ntakes one_shot, ")) << said.out;
}

TEST(Explain, TheChosenOneIsTheFastestCandidate) {
  for (const char* collective : {"all_reduce", "broadcast", "all_gather", "gather", "barrier"}) {
    for (const char* bytes : {"8", "64K", "16M"}) {
      const Json answer = asked({"--collective", collective, "--bytes", bytes, "--ranks", "6",
                                 "--hosts", "3", "--between", "verbs"});
      const Json& best = answer["candidates"][0];
      // The table may be a little off between the sizes that it was made from.
      EXPECT_LE(answer["chosen"]["predicted_us"].get<double>(),
                1.15 * best["predicted_us"].get<double>())
          << answer.dump(2);
      EXPECT_EQ(answer["ranks"], 6);
      EXPECT_EQ(answer["hosts"], 3);
      EXPECT_TRUE(answer["parameters_ns"].contains("between"));
    }
  }
}

TEST(Explain, NamesTheRuleThatDecided) {
  const std::string path = testing::TempDir() + "explain." + std::to_string(::getpid());
  std::ofstream(path) << "# a comment\n"
                         "rule all_reduce bytes 1M.. algorithm tree segment 256K\n"
                         "rule all_gather lanes 7\n";
  const std::vector<std::string> common = {"--tuning", path, "--ranks", "4", "--bytes", "1M"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), common.begin(), common.end());
    return asked(more);
  };
  const Json ruled = with({"--collective", "all_reduce"});
  EXPECT_EQ(ruled["chosen"]["algorithm"], "tree");
  EXPECT_EQ(ruled["chosen"]["segment_bytes"], 262'144);
  EXPECT_EQ(ruled["why"], "the rule at " + path + ":2 says so");
  const Json lanes = with({"--collective", "all_gather"});
  EXPECT_EQ(lanes["chosen"]["lanes"], 7);
  EXPECT_TRUE(has(lanes["why"], "the rule at " + path + ":3 decides on the rest"));
  const Json configured = with({"--collective", "all_reduce", "--algorithm", "ring"});
  EXPECT_EQ(configured["chosen"]["algorithm"], "ring");
  EXPECT_EQ(configured["why"], "the configuration sets it");
  ::unlink(path.c_str());
}

TEST(Explain, TakesParametersFromTheTuningFile) {
  const std::string path = testing::TempDir() + "explain2." + std::to_string(::getpid());
  std::ofstream(path) << "inside alpha 1234 eager 77\n";
  const Json answer = asked({"--collective", "barrier", "--bytes", "0", "--ranks", "2", "--tuning",
                             path, "--wire", "tcp"});
  EXPECT_EQ(answer["parameters_ns"]["inside"]["alpha"], 1234.0);
  EXPECT_DOUBLE_EQ(answer["chosen"]["predicted_us"].get<double>(), 0.077);
  std::ofstream(path) << "inside alpha slow\n";
  const Said said =
      explain({"--collective", "barrier", "--bytes", "0", "--ranks", "2", "--tuning", path});
  EXPECT_EQ(said.code, kInterrupted);
  EXPECT_TRUE(has(said.err, path + ":1: alpha is \"slow\"")) << said.err;
  ::unlink(path.c_str());
}

TEST(Explain, RefusesWhatMakesNoSense) {
  EXPECT_EQ(explain({}).code, kWrongUsage);
  const Said collective = explain({"--collective", "allreduce", "--bytes", "8", "--ranks", "2"});
  EXPECT_EQ(collective.code, kWrongUsage);
  EXPECT_TRUE(has(collective.err, "--collective is \"allreduce\"; allowed: all_reduce"))
      << collective.err;
  EXPECT_EQ(explain({"--collective", "reduce", "--bytes", "8T", "--ranks", "2"}).code, kWrongUsage);
  EXPECT_EQ(explain({"--collective", "reduce", "--bytes", "8", "--ranks", "0"}).code, kWrongUsage);
  const Said hosts =
      explain({"--collective", "reduce", "--bytes", "8", "--ranks", "2", "--hosts", "3"});
  EXPECT_EQ(hosts.code, kInterrupted);
  EXPECT_TRUE(has(hosts.err, "3 hosts have at least as many ranks")) << hosts.err;
  const Said part = explain({"--collective", "reduce", "--bytes", "7", "--ranks", "2"});
  EXPECT_TRUE(has(part.err, "7 bytes are no whole number of float32")) << part.err;
}

}  // namespace
}  // namespace paceline::tool
