// The command line of `paceline`, run in this process.
#include "tool/program.h"

#include <gtest/gtest.h>

#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "paceline/paceline.hpp"
#include "tool/read_trial.h"
#include "tool/report.h"

namespace paceline::tool {
namespace {

struct Said {
  int code = -1;
  std::string out;
  std::string err;
};

Said say(const std::vector<std::string>& arguments) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = run(arguments, out, err);
  return {code, out.str(), err.str()};
}

TEST(Program, SaysItsVersion) {
  const Said said = say({"--version"});
  EXPECT_EQ(said.code, kFine);
  EXPECT_EQ(said.out, "paceline " + version() + "\n");
}

TEST(Program, HelpsWhereAsked) {
  EXPECT_NE(say({"--help"}).out.find("info"), std::string::npos);
  EXPECT_NE(say({"info", "--help"}).out.find("--json"), std::string::npos);
  EXPECT_EQ(say({"info", "--help"}).code, kFine);
}

TEST(Program, SuggestsASubcommand) {
  const Said said = say({"inof"});
  EXPECT_EQ(said.code, kWrongUsage);
  EXPECT_NE(said.err.find("no subcommand \"inof\"; did you mean \"info\"?"), std::string::npos)
      << said.err;
  EXPECT_EQ(said.out, "");
}

TEST(Program, NeedsASubcommand) {
  const Said said = say({});
  EXPECT_EQ(said.code, kWrongUsage);
  EXPECT_NE(said.err.find("subcommand is required"), std::string::npos) << said.err;
}

TEST(Program, RefusesUnknownOptions) {
  EXPECT_EQ(say({"--jsno"}).code, kWrongUsage);
  EXPECT_EQ(say({"info", "--jsno"}).code, kWrongUsage);
}

TEST(Info, IsTheSameAsTextAndAsJson) {
  const Said text = say({"info"});
  const Said json = say({"info", "--json"});
  ASSERT_EQ(text.code, kFine) << text.err;
  ASSERT_EQ(json.code, kFine) << json.err;
  std::ostringstream again;
  print_text(Json::parse(json.out), again);
  EXPECT_EQ(text.out, again.str());
}

TEST(Info, TellsWhatIsKnown) {
  const Json report = Json::parse(say({"info", "--json"}).out);
  EXPECT_EQ(report["build"]["version"], version());
  EXPECT_FALSE(report["build"]["compiler"].get<std::string>().empty());
  EXPECT_GE(report["machine"]["cores_allowed"].get<int>(), 1);
  EXPECT_FALSE(report["machine"]["host_id"].get<std::string>().empty());
  // What reductions use is among what the machine has.
  const Json& supported = report["machine"]["simd_supported"];
  EXPECT_NE(std::find(supported.begin(), supported.end(), report["machine"]["simd_in_use"]),
            supported.end())
      << report["machine"].dump();
  for (const char* wire : {"shm", "verbs", "tcp"}) {
    ASSERT_TRUE(report["transports"].contains(wire));
    const Json& ability = report["transports"][wire];
    EXPECT_NE(ability["usable"].get<bool>(), ability.contains("why_not"));
  }
  EXPECT_TRUE(report["transports"]["shm"]["usable"].get<bool>());
  EXPECT_TRUE(report["transports"]["tcp"]["usable"].get<bool>());
}

/// A variable of the environment for the length of a test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

TEST(Info, TellsWhatIsSet) {
  const Variable lanes("PACELINE_LANES", "3");
  const Variable wires("PACELINE_TRANSPORT", "tcp");
  const Json report = Json::parse(say({"info", "--json"}).out);
  EXPECT_EQ(report["configuration"]["not_the_default"],
            Json({{"PACELINE_TRANSPORT", "tcp"}, {"PACELINE_LANES", "3"}}));
  EXPECT_EQ(report["transports"]["shm"]["why_not"], "not among the allowed transports");
  EXPECT_TRUE(report["transports"]["tcp"]["usable"].get<bool>());
}

TEST(Info, TellsWhatIsWrongAndTheRest) {
  const Variable misspelt("PACELINE_LAENS", "3");
  const Said said = say({"info", "--json"});
  EXPECT_EQ(said.code, kTrouble);
  const Json report = Json::parse(said.out);
  EXPECT_FALSE(report["configuration"]["usable"].get<bool>());
  EXPECT_NE(report["configuration"]["why_not"].get<std::string>().find("PACELINE_LANES"),
            std::string::npos);
  EXPECT_TRUE(report["transports"]["tcp"]["usable"].get<bool>());
}

TEST(Info, HidesTheSecret) {
  const Variable secret("PACELINE_SECRET", "never to be seen on a screen");
  EXPECT_EQ(say({"info"}).out.find("never to be seen"), std::string::npos);
  EXPECT_NE(say({"info"}).out.find("of 28 bytes"), std::string::npos);
}

TEST(ReadTrial, LeavesNoChildren) {
  const std::string first = read_trial();
  EXPECT_EQ(first, read_trial());
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

}  // namespace
}  // namespace paceline::tool
