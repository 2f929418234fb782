// Who starts the ranks, as far as the environment says it: what each launcher sets, in which order
// they are believed, and what is refused.
#include "base/launcher.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <set>
#include <string>

#include "base/launcher_channel.h"
#include "base/slurm.h"
#include "paceline/error.h"

namespace paceline {
namespace {

Environment operator+(Environment a, const Environment& b) {
  for (const auto& [name, value] : b) a[name] = value;
  return a;
}

Environment without(Environment environment, const std::string& name) {
  environment.erase(name);
  return environment;
}

void expect_refused(const Environment& environment, std::initializer_list<const char*> words) {
  try {
    const Config config = Config::from(environment);
    ADD_FAILURE() << "not refused: rank " << config.rank << " of " << config.size;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_configuration);
    for (const char* word : words) {
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  }
}

void expect_found(const Environment& environment, Launcher launcher, int rank, int size,
                  const std::string& channel, const std::string& root = "") {
  const Config config = Config::from(environment);
  EXPECT_EQ(to_string(config.launcher), to_string(launcher));
  EXPECT_EQ(config.rank, rank);
  EXPECT_EQ(config.size, size);
  EXPECT_EQ(config.channel, channel);
  EXPECT_EQ(config.root, root);
}

// What each sets, as seen in real runs; variables that nobody reads are left out.
const Environment kMpich = {{"PMI_RANK", "1"},
                            {"PMI_SIZE", "4"},
                            {"PMI_FD", "8"},
                            {"MPI_LOCALRANKID", "1"},
                            {"MPI_LOCALNRANKS", "4"}};
const Environment kMpichPort = {
    {"PMI_ID", "3"}, {"PMI_PORT", "vm:42597"}, {"MPI_LOCALRANKID", "3"}, {"MPI_LOCALNRANKS", "4"}};
const Environment kIntel = kMpich + Environment{{"I_MPI_HYDRA_UUID", "ec6c0000-d3eb"}};
const Environment kStep = {{"SLURM_JOB_ID", "70"},
                           {"SLURM_STEP_ID", "2"},
                           {"SLURM_PROCID", "5"},
                           {"SLURM_NTASKS", "6"},
                           {"SLURM_STEP_NUM_TASKS", "6"},
                           {"SLURM_STEP_NUM_NODES", "2"},
                           {"SLURM_STEP_NODELIST", "node[03-04]"}};
const Environment kSlurmPmi2 =
    kStep +
    Environment{{"PMI_RANK", "5"}, {"PMI_SIZE", "6"}, {"PMI_FD", "13"}, {"PMI_JOBID", "70.2"}};
const Environment kPmix = {{"PMIX_NAMESPACE", "somewhere"}, {"PMIX_RANK", "5"}};
const Environment kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "2"},
                              {"OMPI_COMM_WORLD_SIZE", "3"},
                              {"PMIX_NAMESPACE", "470155265"},
                              {"PMIX_RANK", "2"}};
const Environment kTorchrun = {{"RANK", "0"},
                               {"WORLD_SIZE", "2"},
                               {"MASTER_ADDR", "node0"},
                               {"MASTER_PORT", "29500"},
                               {"TORCHELASTIC_RUN_ID", "none"}};

TEST(LauncherTable, Mpich) {
  expect_found(kMpich, Launcher::mpich, 1, 4, "pmi:fd=8");
}

TEST(LauncherTable, MpichThroughAPortLeavesTheSizeToTheChannel) {
  expect_found(kMpichPort, Launcher::mpich, 3, 0, "pmi:port=vm:42597,id=3");
  // Nothing is half a description.
  expect_found(without(kMpichPort, "PMI_PORT"), Launcher::none, 0, 1, "");
}

TEST(LauncherTable, IntelMpi) {
  expect_found(kIntel, Launcher::intel_mpi, 1, 4, "pmi:fd=8");
}

TEST(LauncherTable, SlurmWithPmi2) {
  expect_found(kSlurmPmi2, Launcher::slurm, 5, 6, "pmi:fd=13");
}

TEST(LauncherTable, SlurmWithPmix) {
  expect_found(kStep + kPmix, Launcher::slurm, 5, 6, "pmix");
}

TEST(LauncherTable, SlurmAloneGivesTheFirstHostAndAPort) {
  expect_found(kStep, Launcher::slurm, 5, 6, "", "node03:28272");
  // On one node loopback does, which needs no secret.
  expect_found(kStep + Environment{{"SLURM_STEP_NUM_NODES", "1"}}, Launcher::slurm, 5, 6, "",
               "127.0.0.1:28272");
  expect_found(kStep + Environment{{"PACELINE_ROOT", "b:7"}, {"SLURM_STEP_NODELIST", "?"}},
               Launcher::slurm, 5, 6, "", "b:7");
}

TEST(LauncherTable, ABatchScriptIsOneRank) {
  const Environment script = without(without(kStep, "SLURM_STEP_ID"), "SLURM_STEP_NUM_TASKS");
  expect_found(script + Environment{{"SLURM_PROCID", "0"}}, Launcher::none, 0, 1, "");
}

TEST(LauncherTable, OpenMpi) {
  expect_found(kOpenMpi, Launcher::open_mpi, 2, 3, "pmix");
  const Environment packed =
      kOpenMpi +
      Environment{{"OPAL_PREFIX", "/v"}, {"PMIX_PREFIX", "/v"}, {"OMPI_LIBDIR_LOC", "/v/lib"}};
  expect_found(packed, Launcher::open_mpi, 2, 3, "pmix:/v/lib/openmpi:/v/lib:/v/lib64");
  // A folder that could not be told apart in the text, or is relative, is of no use.
  expect_found(kOpenMpi + Environment{{"OPAL_PREFIX", "/a:b"}, {"PMIX_PREFIX", "x"}},
               Launcher::open_mpi, 2, 3, "pmix");
}

TEST(LauncherTable, AnyOtherThatSpeaksPmix) {
  expect_found(kPmix, Launcher::pmix, 5, 0, "pmix");
}

TEST(LauncherTable, AChannelThatIsNotNamedStaysEmpty) {
  expect_found(without(kMpich, "PMI_FD"), Launcher::mpich, 1, 4, "");
  expect_found(without(kOpenMpi, "PMIX_NAMESPACE"), Launcher::open_mpi, 2, 3, "");
}

// srun starts them, and they start the ranks.
TEST(LauncherOrder, WhatIsStartedByOthersComesFirst) {
  const Environment proxy =
      kStep + Environment{{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}};
  expect_found(proxy + kMpich, Launcher::mpich, 1, 4, "pmi:fd=8");
  expect_found(proxy + kIntel, Launcher::intel_mpi, 1, 4, "pmi:fd=8");
  expect_found(proxy + kOpenMpi, Launcher::open_mpi, 2, 3, "pmix");
  for (const Environment& outer : {kSlurmPmi2, kStep + kPmix, kStep, kOpenMpi, kIntel}) {
    expect_found(outer + kTorchrun, Launcher::torchrun, 0, 2, "", "node0:29500");
  }
  expect_found(kSlurmPmi2 + kOpenMpi, Launcher::open_mpi, 2, 3, "pmix");
}

TEST(LauncherOrder, AScriptsTorchVariablesComeLast) {
  const Environment script = without(kTorchrun, "TORCHELASTIC_RUN_ID");
  expect_found(script, Launcher::torchrun, 0, 2, "", "node0:29500");
  expect_found(kSlurmPmi2 + script, Launcher::slurm, 5, 6, "pmi:fd=13");
  expect_found(kStep + script, Launcher::slurm, 5, 6, "", "node03:28272");
  expect_found(kMpich + Environment{{"WORLD_SIZE", "4"}}, Launcher::mpich, 1, 4, "pmi:fd=8");
}

TEST(LauncherOrder, PacelineWinsOverAll) {
  const Environment ours = {
      {"PACELINE_RANK", "0"}, {"PACELINE_SIZE", "2"}, {"PACELINE_ROOT", "a:1"}};
  for (const Environment& other :
       {kMpich, kMpichPort, kIntel, kSlurmPmi2, kStep + kPmix, kStep, kOpenMpi, kPmix, kTorchrun}) {
    expect_found(other + ours, Launcher::paceline, 0, 2, "", "a:1");
  }
}

TEST(LauncherLies, AreRefused) {
  expect_refused(kMpich + Environment{{"PMI_RANK", "5"}},
                 {"PMI_RANK is 5", "PMI_SIZE is 4", "0..3"});
  expect_refused(kMpich + Environment{{"PMI_SIZE", "0"}}, {"PMI_SIZE is 0", "1 and more"});
  expect_refused(kMpich + Environment{{"PMI_RANK", "x"}}, {"PMI_RANK", "\"x\"", "whole number"});
  for (const char* fd : {"-1", "eight", "8 ", "99999999999"}) {
    expect_refused(kMpich + Environment{{"PMI_FD", fd}}, {"PMI_FD is", fd, "open socket"});
  }
  for (const char* port : {"vm", "vm:0", "vm:70000", ":1"}) {
    expect_refused(kMpichPort + Environment{{"PMI_PORT", port}},
                   {"PMI_PORT is", port, "host:port"});
  }
  expect_refused(kMpichPort + Environment{{"PMI_ID", "-1"}}, {"PMI_ID is -1"});
  expect_refused(kPmix + Environment{{"PMIX_RANK", "-1"}}, {"PMIX_RANK is -1"});
  expect_refused(kStep + Environment{{"SLURM_PROCID", "6"}}, {"SLURM_PROCID is 6", "0..5"});
  expect_refused(kStep + Environment{{"SLURM_JOB_ID", "x"}}, {"SLURM_JOB_ID is \"x\""});
  expect_refused(without(kStep, "SLURM_JOB_ID"), {"SLURM_JOB_ID is not set", "PACELINE_ROOT"});
  expect_refused(kStep + Environment{{"SLURM_STEP_NODELIST", "node[1-"}},
                 {"node[1-", "--mpi=pmix", "PACELINE_ROOT"});
  expect_refused(without(kStep, "SLURM_STEP_NODELIST"), {"SLURM_STEP_NODELIST is not set"});
}

TEST(LauncherLies, HalfASetIsRefused) {
  expect_refused(without(kMpich, "PMI_SIZE"), {"PMI_RANK is set but PMI_SIZE is not", "MPICH"});
  expect_refused(without(kIntel, "PMI_RANK"), {"PMI_RANK is not", "Intel MPI"});
  expect_refused(without(kSlurmPmi2, "PMI_SIZE"), {"PMI_SIZE is not", "srun --mpi=pmi2"});
  expect_refused(without(kStep, "SLURM_STEP_NUM_TASKS"), {"SLURM_STEP_NUM_TASKS is not", "srun"});
}

TEST(LauncherLies, ASizeOfZeroNeedsAChannel) {
  Config config;
  config.size = 0;
  EXPECT_THROW(config.validate(), Error);
  config.channel = "pmix";
  config.rank = 7;
  EXPECT_NO_THROW(config.validate());
}

TEST(NodeList, ItsFirstHost) {
  const std::initializer_list<std::pair<const char*, const char*>> lists = {
      {"node1", "node1"},
      {"node[1-3,7],b02", "node1"},
      {"b02,node[1-3]", "b02"},
      {"n[007-010]", "n007"},
      {"rack[2-3]node[05,09]", "rack2node05"},
      {"gpu-a[4].cluster_x.org,x", "gpu-a4.cluster_x.org"},
      {"a[1]b", "a1b"},
      {"host,", "host"}};
  for (const auto& [list, host] : lists) EXPECT_EQ(first_host_of(list), host) << list;
}

TEST(NodeList, GarbageIsNone) {
  const std::string long_name(256, 'n');
  for (const std::string list : {"",        ",a",     "n[",    "n[]",    "n[1",
                                 "n[a]",    "n[1-]",  "n[-1]", "n[,1]",  "n[1,,2]",
                                 "n[1--2]", "n[1;2]", "a b",   "n]1[",   "[[1]]",
                                 "n[1[2]]", "\xff",   "a/b",   "(null)", long_name.c_str()}) {
    EXPECT_EQ(first_host_of(list), std::nullopt) << list;
  }
}

TEST(SlurmPort, StaysInItsRangeAndKeepsNeighboursApart) {
  std::set<std::uint16_t> ports;
  for (std::uint64_t job = 1'000'000; job < 1'000'100; ++job) {
    for (std::uint64_t step = 0; step < 61; ++step) {
      const std::uint16_t port = slurm_port(job, step);
      EXPECT_GE(port, kSlurmFirstPort);
      EXPECT_LE(port, kSlurmLastPort);
      ports.insert(port);
    }
  }
  EXPECT_EQ(ports.size(), 100U * 61U);
  EXPECT_GE(slurm_port(UINT64_MAX, UINT64_MAX), kSlurmFirstPort);
  EXPECT_EQ(slurm_port(70, 2), 24000 + 61 * 70 + 2);
}

TEST(ChannelText, ReadsWhatItWrites) {
  for (const char* text : {"pmix", "pmix:/a", "pmix:/a b:/c", "pmi:fd=0", "pmi:fd=1023",
                           "pmi:port=host:1,id=0", "pmi:port=[::1]:65535,id=17"}) {
    const auto channel = launcher_channel_from(text);
    ASSERT_TRUE(channel) << text;
    EXPECT_EQ(to_string(*channel), text);
  }
}

TEST(ChannelText, GarbageIsNone) {
  for (const char* text : {"", "pmi", "pmixx", "pmix:", "pmix:a", "pmix:/a:", "pmi:fd=",
                           "pmi:fd=-1", "pmi:fd=1x", "pmi:port=h:1", "pmi:port=h,id=1",
                           "pmi:port=h:1,id=", "pmi:port=h:1,id=-1", "pmi:port=h:0,id=1", "PMIX"}) {
    EXPECT_FALSE(launcher_channel_from(text)) << text;
  }
}

}  // namespace
}  // namespace paceline
