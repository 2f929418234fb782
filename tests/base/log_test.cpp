// One line per event, with all that tells it from others'; nothing at all where it is not wanted.
#include "base/log.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "base/log_levels.h"
#include "base/path_pattern.h"
#include "paceline/error.h"

namespace paceline {
namespace {

class LogTest : public testing::Test {
 protected:
  LogTest() {
    char pattern[] = "/tmp/paceline-log.XXXXXX";
    folder_ = ::mkdtemp(pattern);
    config_.rank = 3;
    config_.log_file = folder_ + "/%c.%r.log";
  }
  ~LogTest() override { std::filesystem::remove_all(folder_); }

  std::vector<std::string> lines() const {
    std::ifstream file(folder_ + "/world.3.log");
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }

  std::string folder_;
  Config config_;
};

TEST_F(LogTest, ALineSaysWhoWhenAndWhat) {
  const Logger log(config_, "world");
  log.warning(LogComponent::tcp, "something");
  ASSERT_EQ(lines().size(), 1u);
  const std::regex form(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z warning rank=3 host=\S+ pid=)" +
                        std::to_string(::getpid()) + " communicator=world tcp: something");
  EXPECT_TRUE(std::regex_match(lines()[0], form)) << lines()[0];
}

TEST_F(LogTest, LevelsHoldPerComponent) {
  ASSERT_TRUE(read_log_levels(config_, "error,engine=debug"));
  const Logger log(config_, "world");
  for (const LogLevel level :
       {LogLevel::error, LogLevel::warning, LogLevel::info, LogLevel::debug, LogLevel::trace}) {
    log.say(level, LogComponent::engine, std::string(to_string(level)));
    log.say(level, LogComponent::memory, std::string(to_string(level)));
  }
  std::string said;
  for (const std::string& line : lines()) said += line.substr(line.find("world") + 6) + "\n";
  EXPECT_EQ(said, "engine: error\nmemory: error\nengine: warning\nengine: info\nengine: debug\n");
}

TEST_F(LogTest, ATextThatIsNotSaidIsNotMade) {
  const Logger log(config_, "world");
  int made = 0;
  const auto text = [&] { return "number " + std::to_string(++made); };
  log.info(LogComponent::engine, text);
  EXPECT_EQ(made, 0);
  log.warning(LogComponent::engine, text);
  EXPECT_EQ(made, 1);
  Logger().error(LogComponent::engine, text);
  EXPECT_EQ(made, 1);
}

TEST_F(LogTest, StrangersTextNeitherBreaksNorFillsLines) {
  const Logger log(config_, "world");
  log.warning(LogComponent::bootstrap, "a\nb\x1b[31mc");
  log.warning(LogComponent::bootstrap, std::string(100'000, 'x'));
  ASSERT_EQ(lines().size(), 2u);
  EXPECT_TRUE(lines()[0].ends_with("bootstrap: a b [31mc")) << lines()[0];
  EXPECT_EQ(lines()[1].size(), 4095u);
  EXPECT_TRUE(lines()[1].ends_with("xxx..."));
}

TEST_F(LogTest, LinesOfThreadsAndProcessesDoNotMix) {
  constexpr int kEach = 500;
  const auto speak = [this](char who) {
    const Logger log(config_, "world");
    for (int i = 0; i < kEach; ++i) log.warning(LogComponent::tcp, std::string(2000, who));
  };
  const pid_t child = ::fork();
  if (child == 0) {
    speak('c');
    std::_Exit(0);
  }
  std::thread a([&] { speak('a'); });
  std::thread b([&] { speak('b'); });
  a.join();
  b.join();
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  const std::vector<std::string> all = lines();
  ASSERT_EQ(all.size(), 3u * kEach);
  for (const std::string& line : all) {
    const std::string text = line.substr(line.size() - 2000);
    EXPECT_EQ(text, std::string(2000, text[0])) << line;
    EXPECT_TRUE(line.substr(0, line.size() - 2000).ends_with("tcp: ")) << line;
  }
}

TEST_F(LogTest, AFileThatCannotBeOpenedIsAnError) {
  config_.log_file = folder_ + "/missing/%r.log";
  try {
    const Logger log(config_, "world");
    FAIL() << "no Error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_configuration);
    EXPECT_NE(std::string(error.what()).find("missing/3.log"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("PACELINE_LOG_FILE"), std::string::npos);
  }
}

TEST(LogLevels, ReadAndShow) {
  Config config;
  EXPECT_EQ(show_log_levels(config), "warning");
  ASSERT_TRUE(read_log_levels(config, "info,bootstrap=debug,shm=off"));
  EXPECT_EQ(config.log_level, LogLevel::info);
  EXPECT_EQ(config.log_components.at(LogComponent::bootstrap), LogLevel::debug);
  EXPECT_EQ(show_log_levels(config), "info,bootstrap=debug,shm=off");
  ASSERT_TRUE(read_log_levels(config, "verbs=trace"));  // the rest keeps its level
  EXPECT_EQ(show_log_levels(config), "info,verbs=trace");
  for (const char* wrong : {"", "loud", "info,", "info,debug", "nothing=info", "tcp=", "=info",
                            "tcp=info,tcp=debug", "INFO", "info, tcp=debug"}) {
    EXPECT_FALSE(read_log_levels(config, wrong)) << wrong;
  }
}

TEST(PathPattern, FillsIn) {
  EXPECT_EQ(expand_path("/tmp/job.%r.log", {12, "world"}), "/tmp/job.12.log");
  EXPECT_EQ(expand_path("%c-%%-%p-%h", {0, "a/b"}),
            "a_b-%-" + std::to_string(::getpid()) + "-" + this_host());
  EXPECT_EQ(expand_path("plain", {}), "plain");
  EXPECT_TRUE(is_path_pattern("%r%c%h%p%%"));
  EXPECT_FALSE(is_path_pattern("job.%"));
  EXPECT_FALSE(is_path_pattern("job.%d"));
  EXPECT_FALSE(is_path_pattern("job.%%%"));
}

}  // namespace
}  // namespace paceline
