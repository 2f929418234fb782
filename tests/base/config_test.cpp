#include "paceline/config.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>

#include "base/variables.h"
#include "paceline/error.h"

namespace paceline {
namespace {

using Environment = std::map<std::string, std::string>;

// The text of the error that `action` throws; it must be an invalid_configuration.
std::string refusal_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_configuration);
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

std::string refusal(const Environment& environment) {
  return refusal_of([&] { (void)Config::from(environment); });
}

void expect_mentions(const std::string& text, std::initializer_list<const char*> words) {
  for (const char* word : words)
    EXPECT_NE(text.find(word), std::string::npos) << word << "\n" << text;
}

TEST(Config, NothingSetIsOneRank) {
  const Config config = Config::from({});
  EXPECT_EQ(config.launcher, Launcher::none);
  EXPECT_EQ(config.rank, 0);
  EXPECT_EQ(config.size, 1);
  EXPECT_EQ(config.root, "");
  EXPECT_EQ(config.transports, (std::vector<std::string>{"shm", "verbs", "tcp"}));
  EXPECT_NO_THROW(config.validate());
}

TEST(Config, EveryVariableSetsItsField) {
  const Config c = Config::from({{"PACELINE_RANK", "3"},
                                 {"PACELINE_SIZE", "8"},
                                 {"PACELINE_ROOT", "[::1]:29500"},
                                 {"PACELINE_SECRET", "0123456789abcdef"},
                                 {"PACELINE_INTERFACE", "eth0"},
                                 {"PACELINE_PORTS", "20000-20100"},
                                 {"PACELINE_HOST_ID", "left"},
                                 {"PACELINE_TRANSPORT", "tcp,shm"},
                                 {"PACELINE_IB_DEVICE", "mlx5_0"},
                                 {"PACELINE_IB_GID_INDEX", "3"},
                                 {"PACELINE_IB_NOTIFY", "send"},
                                 {"PACELINE_IB_CONNECT", "cm"},
                                 {"PACELINE_TCP_LINKS", "4"},
                                 {"PACELINE_TCP_CONGESTION", "reno"},
                                 {"PACELINE_ALGORITHM", "ring"},
                                 {"PACELINE_EAGER_BYTES", "0"},
                                 {"PACELINE_TUNING", "/etc/paceline.tuning"},
                                 {"PACELINE_SEGMENT_BYTES", "8192"},
                                 {"PACELINE_LANES", "8"},
                                 {"PACELINE_TIMEOUT", "2.5"},
                                 {"PACELINE_HEARTBEAT_TIMEOUT", "0.25"},
                                 {"PACELINE_LOG", "info,tcp=debug"},
                                 {"PACELINE_LOG_FILE", "log.%h.%r"},
                                 {"PACELINE_HISTORY", "4096"},
                                 {"PACELINE_TRACE", "trace.%r.json"}});
  EXPECT_EQ(c.launcher, Launcher::paceline);
  EXPECT_EQ(c.rank, 3);
  EXPECT_EQ(c.size, 8);
  EXPECT_EQ(c.root, "[::1]:29500");
  EXPECT_EQ(c.secret, "0123456789abcdef");
  EXPECT_EQ(c.interface_name, "eth0");
  EXPECT_EQ(c.port_first, 20000);
  EXPECT_EQ(c.port_last, 20100);
  EXPECT_EQ(c.host_id, "left");
  EXPECT_EQ(c.transports, (std::vector<std::string>{"tcp", "shm"}));
  EXPECT_EQ(c.ib_device, "mlx5_0");
  EXPECT_EQ(c.ib_gid_index, 3);
  EXPECT_EQ(c.ib_notify, IbNotify::send);
  EXPECT_EQ(c.ib_connect, IbConnect::cm);
  EXPECT_EQ(c.tcp_links, 4);
  EXPECT_EQ(c.tcp_congestion, "reno");
  EXPECT_EQ(c.algorithm, Algorithm::ring);
  EXPECT_EQ(c.eager_bytes, 0U);
  EXPECT_EQ(c.tuning, "/etc/paceline.tuning");
  EXPECT_EQ(c.segment_bytes, 8192U);
  EXPECT_EQ(c.lanes, 8);
  EXPECT_EQ(c.timeout, std::chrono::milliseconds(2500));
  EXPECT_EQ(c.heartbeat_timeout, std::chrono::milliseconds(250));
  EXPECT_EQ(c.log_level, LogLevel::info);
  EXPECT_EQ(c.log_components.at(LogComponent::tcp), LogLevel::debug);
  EXPECT_EQ(c.log_file, "log.%h.%r");
  EXPECT_EQ(c.history, 4096U);
  EXPECT_EQ(c.trace_file, "trace.%r.json");
}

TEST(Config, RanksDoNotWriteOverEachOthersTraces) {
  const Environment two = {
      {"PACELINE_RANK", "1"}, {"PACELINE_SIZE", "2"}, {"PACELINE_ROOT", "127.0.0.1:29500"}};
  Environment same = two;
  same["PACELINE_TRACE"] = "trace.json";
  expect_mentions(refusal(same), {"PACELINE_TRACE is \"trace.json\"", "with %r"});
  EXPECT_EQ(Config::from({{"PACELINE_TRACE", "trace.json"}}).trace_file, "trace.json");
}

TEST(Config, AnEmptyVariableCountsAsUnset) {
  for (const Variable& variable : variables()) {
    EXPECT_NO_THROW((void)Config::from({{std::string(variable.name), ""}})) << variable.name;
  }
}

// What show() prints, read() takes: the defaults of the documentation can be copied into a script.
TEST(Config, DefaultsAreValidAndCanBeWrittenDown) {
  const Config defaults;
  for (const Variable& variable : variables()) {
    EXPECT_TRUE(variable.valid(defaults)) << variable.name;
    const std::string text = variable.show(defaults);
    if (text.empty()) continue;
    Config config;
    EXPECT_TRUE(variable.read(config, text)) << variable.name << "=" << text;
    EXPECT_EQ(variable.show(config), text) << variable.name;
  }
}

TEST(Config, ValuesOutOfRangeSayWhatWasGivenAndWhatIsAllowed) {
  const std::vector<std::pair<const char*, std::vector<const char*>>> wrong = {
      {"PACELINE_ROOT", {"host", "host:0", "host:65536", "host:x", "::1:5", ":80"}},
      {"PACELINE_INTERFACE", {"a/b", "sixteen-letters!", "eth0 "}},
      {"PACELINE_PORTS", {"20000", "0-5", "9-8", "1-65536", "-", "a-b", "1-2-3"}},
      {"PACELINE_TRANSPORT", {"tpc", "shm,,tcp", "shm,shm", "shm, tcp", ","}},
      {"PACELINE_IB_DEVICE", {"mlx5/0"}},
      {"PACELINE_IB_GID_INDEX", {"-1", "256", "x"}},
      {"PACELINE_TCP_LINKS", {"0", "9", "two", "1.5", " 2"}},
      {"PACELINE_ALGORITHM", {"star", "binomial tree", "Ring"}},
      {"PACELINE_EAGER_BYTES", {"131073", "-1", "4K"}},
      {"PACELINE_SEGMENT_BYTES", {"1", "4095", "4097", "16777280", "128K"}},
      {"PACELINE_LANES", {"-1", "9", "99999999999999999999"}},
      {"PACELINE_TIMEOUT", {"0", "-1", "inf", "nan", "604801", "1e300", "10s"}},
      {"PACELINE_HEARTBEAT_TIMEOUT", {"0.05", "never"}},
      {"PACELINE_LOG", {"loud", "info,debug", "nothing=info"}},
      {"PACELINE_LOG_FILE", {"log.%d", "log.%"}},
      {"PACELINE_HISTORY", {"63", "65537", "all"}},
      {"PACELINE_TRACE", {"trace.%d"}},
  };
  for (const auto& [name, values] : wrong) {
    for (const char* value : values) {
      expect_mentions(refusal({{name, value}}), {name, value, "allowed: "});
    }
  }
}

TEST(Config, ALongHostIdIsRefused) {
  EXPECT_NO_THROW((void)Config::from({{"PACELINE_HOST_ID", std::string(128, 'x')}}));
  expect_mentions(refusal({{"PACELINE_HOST_ID", std::string(129, 'x')}}), {"allowed: up to 128"});
}

TEST(Config, AnUnknownTransportIsAnsweredWithTheAllowedOnes) {
  expect_mentions(refusal({{"PACELINE_TRANSPORT", "shm,ib"}}), {"shm,ib", "shm,verbs,tcp"});
}

TEST(Config, OneTransportMeansOnlyThatOne) {
  EXPECT_EQ(Config::from({{"PACELINE_TRANSPORT", "tcp"}}).transports,
            std::vector<std::string>{"tcp"});
}

TEST(Config, AMisspeltVariableIsNamedWithTheNearestOne) {
  expect_mentions(refusal({{"PACELINE_ALGORITM", "ring"}}),
                  {"PACELINE_ALGORITM ", "PACELINE_ALGORITHM."});
  expect_mentions(refusal({{"PACELINE_TRANSPORTS", "tcp"}}), {"PACELINE_TRANSPORT."});
  expect_mentions(refusal({{"PACELINE_SECRETFILE", "x"}}), {"PACELINE_SECRET_FILE."});
  expect_mentions(refusal({{"PACELINE_", ""}}), {"PACELINE_ does not exist"});
  EXPECT_NO_THROW((void)Config::from({{"PACELINERANK", "1"}, {"PACELIN_RANK", "1"}}));
}

// --- who we are ------------------------------------------------------------------------------

TEST(Launcher, OpenMpi) {
  const Config c = Config::from({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "4"}});
  EXPECT_EQ(c.launcher, Launcher::open_mpi);
  EXPECT_EQ(c.rank, 1);
  EXPECT_EQ(c.size, 4);
  EXPECT_EQ(c.root, "");
}

const Environment kTorchrun = {{"RANK", "2"},
                               {"WORLD_SIZE", "4"},
                               {"LOCAL_RANK", "0"},
                               {"MASTER_ADDR", "node0"},
                               {"MASTER_PORT", "29500"}};

Environment torchrun_with(const Environment& more) {
  Environment all = more;
  all.insert(kTorchrun.begin(), kTorchrun.end());
  return all;
}

TEST(Launcher, TorchrunGivesTheRoot) {
  const Config c = Config::from(kTorchrun);
  EXPECT_EQ(c.launcher, Launcher::torchrun);
  EXPECT_EQ(c.rank, 2);
  EXPECT_EQ(c.size, 4);
  EXPECT_EQ(c.root, "node0:29500");
}

TEST(Launcher, TorchrunsAgentKeepsItsPort) {
  EXPECT_EQ(Config::from(torchrun_with({{"TORCHELASTIC_USE_AGENT_STORE", "True"}})).root,
            "node0:29501");
  EXPECT_EQ(Config::from(torchrun_with({{"TORCHELASTIC_USE_AGENT_STORE", "False"}})).root,
            "node0:29500");
  expect_mentions(
      refusal(torchrun_with({{"TORCHELASTIC_USE_AGENT_STORE", "True"}, {"MASTER_PORT", "65535"}})),
      {"MASTER_PORT", "65535", "PACELINE_ROOT"});
}

TEST(Launcher, TorchrunWithAnIpv6Master) {
  EXPECT_EQ(Config::from(torchrun_with({{"MASTER_ADDR", "fe80::1"}})).root, "[fe80::1]:29500");
}

TEST(Launcher, OurRootWinsOverTorchruns) {
  EXPECT_EQ(Config::from(torchrun_with({{"PACELINE_ROOT", "node1:7"}})).root, "node1:7");
  // Then a wrong MASTER_PORT is nobody's business.
  EXPECT_EQ(Config::from(torchrun_with({{"PACELINE_ROOT", "node1:7"}, {"MASTER_PORT", "x"}})).root,
            "node1:7");
}

TEST(Launcher, PacelineWinsOverOpenMpiAndOpenMpiOverTorchrun) {
  const Environment open_mpi = {{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "3"}};
  const Config two = Config::from(torchrun_with(open_mpi));
  EXPECT_EQ(two.launcher, Launcher::open_mpi);
  EXPECT_EQ(two.size, 3);
  EXPECT_EQ(two.root, "");

  Environment three = torchrun_with(open_mpi);
  three.insert({{"PACELINE_RANK", "0"}, {"PACELINE_SIZE", "2"}, {"PACELINE_ROOT", "a:1"}});
  const Config c = Config::from(three);
  EXPECT_EQ(c.launcher, Launcher::paceline);
  EXPECT_EQ(c.size, 2);
  EXPECT_EQ(c.root, "a:1");
}

TEST(Launcher, HalfASetIsRefused) {
  expect_mentions(refusal({{"PACELINE_RANK", "0"}}), {"PACELINE_RANK is set", "PACELINE_SIZE"});
  expect_mentions(refusal({{"PACELINE_SIZE", "2"}}), {"PACELINE_SIZE is set", "PACELINE_RANK"});
  expect_mentions(refusal({{"OMPI_COMM_WORLD_RANK", "0"}}), {"OMPI_COMM_WORLD_SIZE is not"});
  expect_mentions(refusal({{"RANK", "0"}}), {"WORLD_SIZE is not", "torchrun"});
  expect_mentions(refusal({{"WORLD_SIZE", "2"}}), {"RANK is not"});
  expect_mentions(refusal({{"RANK", "0"}, {"WORLD_SIZE", "2"}}), {"MASTER_ADDR is not"});
  expect_mentions(refusal({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}}),
                  {"MASTER_PORT is not", "PACELINE_ROOT"});
  expect_mentions(refusal({{"PACELINE_RANK", "0"}, {"PACELINE_SIZE", "2"}}),
                  {"PACELINE_ROOT", "host:port"});
  expect_mentions(refusal({{"PACELINE_ROOT", "a:1"}}), {"PACELINE_ROOT", "PACELINE_RANK"});
}

TEST(Launcher, OneRankNeedsNoRoot) {
  EXPECT_EQ(Config::from({{"PACELINE_RANK", "0"}, {"PACELINE_SIZE", "1"}}).size, 1);
  EXPECT_EQ(Config::from({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).launcher, Launcher::torchrun);
}

TEST(Launcher, RanksOutsideTheGroupAndGarbageAreRefused) {
  expect_mentions(refusal({{"PACELINE_RANK", "2"}, {"PACELINE_SIZE", "2"}}),
                  {"PACELINE_RANK is 2", "PACELINE_SIZE is 2", "0..1"});
  expect_mentions(refusal({{"PACELINE_RANK", "-1"}, {"PACELINE_SIZE", "2"}}), {"is -1", "0..1"});
  expect_mentions(refusal({{"PACELINE_RANK", "0"}, {"PACELINE_SIZE", "0"}}), {"1 and more"});
  expect_mentions(refusal({{"PACELINE_RANK", "one"}, {"PACELINE_SIZE", "2"}}),
                  {"PACELINE_RANK", "one", "a whole number"});
  expect_mentions(refusal({{"OMPI_COMM_WORLD_RANK", "4"}, {"OMPI_COMM_WORLD_SIZE", "4"}}),
                  {"OMPI_COMM_WORLD_RANK is 4"});
  expect_mentions(refusal(torchrun_with({{"MASTER_PORT", "0"}})), {"MASTER_PORT", "1..65535"});
  expect_mentions(refusal({{"PACELINE_RANK", "0"}, {"PACELINE_SIZE", "1048577"}}),
                  {"PACELINE_SIZE", "1..1048576"});
}

// --- the secret ------------------------------------------------------------------------------

class SecretFile : public ::testing::Test {
 protected:
  void write(const std::string& content) { std::ofstream(path_, std::ios::binary) << content; }
  void TearDown() override { std::remove(path_.c_str()); }
  Environment environment() const { return {{"PACELINE_SECRET_FILE", path_}}; }
  const std::string path_ = ::testing::TempDir() + "paceline_secret_" + std::to_string(::getpid());
};

TEST_F(SecretFile, ItsContentIsTheSecretWithoutTheNewline) {
  write("0123456789abcdef\n");
  EXPECT_EQ(Config::from(environment()).secret, "0123456789abcdef");
  write("0123456789abcdef");
  EXPECT_EQ(Config::from(environment()).secret, "0123456789abcdef");
  write(std::string("0123456789\0abcdef\n\n", 19));
  EXPECT_EQ(Config::from(environment()).secret, std::string("0123456789\0abcdef\n", 18));
}

TEST_F(SecretFile, LengthsAreChecked) {
  write("");
  expect_mentions(refusal(environment()), {"0 bytes", "16..4096", "PACELINE_SECRET_FILE"});
  write("short\n");
  expect_mentions(refusal(environment()), {"5 bytes"});
  write(std::string(4096, 'x') + "\n");
  EXPECT_EQ(Config::from(environment()).secret.size(), 4096U);
  write(std::string(4097, 'x'));
  expect_mentions(refusal(environment()), {"16..4096"});
}

TEST_F(SecretFile, AMissingFileIsNamedWithTheReason) {
  expect_mentions(refusal(environment()), {path_.c_str(), "No such file"});
}

TEST_F(SecretFile, TwoSecretsAreOneTooMany) {
  write("0123456789abcdef");
  Environment both = environment();
  both["PACELINE_SECRET"] = "fedcba9876543210";
  expect_mentions(refusal(both), {"PACELINE_SECRET and PACELINE_SECRET_FILE"});
}

TEST(Secret, IsNeverPrinted) {
  const std::string text = refusal({{"PACELINE_SECRET", "hunter2"}});
  EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
  expect_mentions(text, {"7 bytes", "16..4096"});
  Config config;
  config.secret = "hunter2";
  EXPECT_EQ(refusal_of([&] { config.validate(); }).find("hunter2"), std::string::npos);
}

TEST(Config, ZeroLeavesSegmentAndLanesToTheCostModel) {
  const Config c = Config::from({{"PACELINE_SEGMENT_BYTES", "0"}, {"PACELINE_LANES", "0"}});
  EXPECT_EQ(c.segment_bytes, 0U);
  EXPECT_EQ(c.lanes, 0);
  EXPECT_EQ(Config().lanes, 0) << "which is the default";
  EXPECT_EQ(Config().segment_bytes, 0U);
}

// --- a Config filled by hand -----------------------------------------------------------------

TEST(Validate, NamesTheFieldAndTheValue) {
  const auto broken = [](const std::function<void(Config&)>& change) {
    Config config;
    change(config);
    return refusal_of([&] { config.validate(); });
  };
  expect_mentions(broken([](Config& c) { c.rank = 1; }), {"Config::rank", "\"1\"", "0..size-1"});
  expect_mentions(broken([](Config& c) { c.size = 0; }), {"Config::"});
  expect_mentions(broken([](Config& c) { c.lanes = 99; }), {"Config::lanes", "99", "1..8"});
  expect_mentions(broken([](Config& c) { c.transports.clear(); }), {"Config::transports"});
  expect_mentions(broken([](Config& c) { c.port_last = 5; }), {"Config::port_first", "0-5"});
  expect_mentions(broken([](Config& c) { c.algorithm = static_cast<Algorithm>(77); }),
                  {"Config::algorithm", "?"});
  expect_mentions(broken([](Config& c) { c.timeout = std::chrono::milliseconds(0); }),
                  {"Config::timeout"});
  expect_mentions(broken([](Config& c) { c.segment_bytes = 4100; }), {"4100", "multiple of 64"});
  expect_mentions(broken([](Config& c) { c.tuning.assign(4096, 'x'); }), {"Config::tuning"});
  expect_mentions(broken([](Config& c) { c.root = "nowhere"; }), {"nowhere", "host:port"});
}

TEST(Validate, ASizeWithoutARootIsFineForThoseWhoBringAStore) {
  Config config;
  config.rank = 1;
  config.size = 2;
  EXPECT_NO_THROW(config.validate());
}

// --- the process's own environment -------------------------------------------------------------

TEST(Environment, TheProcesssOwnIsRead) {
  ASSERT_EQ(::setenv("PACELINE_LANES", "5", 1), 0);
  const int lanes = Config::from_environment().lanes;
  ASSERT_EQ(::setenv("PACELINE_LANES", "9", 1), 0);
  const std::string text = refusal_of([] { (void)Config::from_environment(); });
  ASSERT_EQ(::unsetenv("PACELINE_LANES"), 0);
  EXPECT_EQ(lanes, 5);
  expect_mentions(text, {"PACELINE_LANES"});
}

}  // namespace
}  // namespace paceline
