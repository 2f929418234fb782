// Tuning files: what they may say, and that rank 0's counts for all.
#include "communicator/tuning.h"

#include <unistd.h>

#include <fstream>
#include <numeric>

#include "support/world.h"

namespace paceline {
namespace {

using testing_support::expect_error;
using testing_support::run_world;

Tuning parsed(const std::string& text) {
  return tuning_from({.path = "machine.tuning", .text = text});
}

TEST(Tuning, SaysWhatAMachineIsLike) {
  const Tuning tuning = parsed(
      "# a comment, and an empty line\n"
      "\n"
      "inside alpha 300 beta 0.12   # the rest stays\r\n"
      "\tbetween eager 15000 alpha 16000 post 400 beta 0.9 port 1e0 cpu 0.5\n"
      "gamma 0.05\n"
      "host 2\n"
      "mapped 0");
  collectives::CostParameters before;
  before.inside = {.eager = 1, .alpha = 2, .post = 3, .beta = 4, .port = 5};
  before.mapped = 6;
  const collectives::CostParameters after = tuning.applied_to(before);
  EXPECT_EQ(after.inside.eager, 1);
  EXPECT_EQ(after.inside.alpha, 300);
  EXPECT_EQ(after.inside.post, 3);
  EXPECT_EQ(after.inside.beta, 0.12);
  EXPECT_EQ(after.inside.port, 5);
  EXPECT_EQ(after.between.eager, 15'000);
  EXPECT_EQ(after.between.alpha, 16'000);
  EXPECT_EQ(after.between.post, 400);
  EXPECT_EQ(after.between.beta, 0.9);
  EXPECT_EQ(after.between.port, 1);
  EXPECT_EQ(after.between.cpu, 0.5);
  EXPECT_EQ(after.gamma, 0.05);
  EXPECT_EQ(after.host, 2);
  EXPECT_EQ(after.mapped, 0);
}

TEST(Tuning, HasRules) {
  const Tuning tuning = parsed(
      "rule all_reduce bytes 0..64K ranks 2..8 hosts 1 algorithm ring segment 256K lanes 4\n"
      "rule broadcast bytes 1M.. ranks ..16 lanes 1\n"
      "rule barrier algorithm recursive_doubling\n");
  ASSERT_EQ(tuning.rules.size(), 3U);
  const collectives::Rule& first = tuning.rules[0];
  EXPECT_EQ(first.collective, Collective::all_reduce);
  EXPECT_EQ(first.bytes, (collectives::Range<std::uint64_t>{0, 65'536}));
  EXPECT_EQ(first.ranks, (collectives::Range<int>{2, 8}));
  EXPECT_EQ(first.hosts, (collectives::Range<int>{1, 1}));
  EXPECT_EQ(first.algorithm, Algorithm::ring);
  EXPECT_EQ(first.segment_bytes, 262'144U);
  EXPECT_EQ(first.lanes, 4);
  EXPECT_EQ(first.line, 1);
  const collectives::Rule& second = tuning.rules[1];
  EXPECT_EQ(second.bytes, (collectives::Range<std::uint64_t>{.first = 1 << 20}));
  EXPECT_EQ(second.ranks, (collectives::Range<int>{.last = 16}));
  EXPECT_EQ(second.hosts, collectives::Range<int>{});
  EXPECT_EQ(second.algorithm, std::nullopt);
  EXPECT_EQ(second.segment_bytes, std::nullopt);
  EXPECT_EQ(second.line, 2);
}

TEST(Tuning, WhatItMayNotSayIsNamedWithFileAndLine) {
  const std::pair<const char*, std::vector<const char*>> wrong[] = {
      {"insied alpha 3", {"\"insied\"", "did you mean \"inside\"?"}},
      {"inside", {"the line ends"}},
      {"inside alpha", {"the line ends"}},
      {"inside alhpa 3", {"did you mean \"alpha\"?", "eager, alpha, post, beta, port, cpu"}},
      {"inside alpha -1", {"alpha is \"-1\"", "0..1e9"}},
      {"inside alpha nan", {"alpha is \"nan\""}},
      {"inside alpha inf", {"alpha is \"inf\""}},
      {"inside alpha 3us", {"alpha is \"3us\""}},
      {"inside alpha 3 cpu 1.5", {"cpu is \"1.5\"", "allowed: 0..1"}},
      {"gamma 1e10", {"gamma is \"1e10\""}},
      {"gamma 1 2", {"goes on behind its value"}},
      {"rule", {"the line ends"}},
      {"rule allreduce lanes 2", {"the collective is \"allreduce\""}},
      {"rule all_reduce", {"says nothing of what to do"}},
      {"rule all_reduce bytes 0..64K", {"says nothing of what to do"}},
      {"rule all_reduce byte 1 lanes 2", {"did you mean \"bytes\"?"}},
      {"rule all_reduce bytes 9..1 lanes 2", {"bytes is \"9..1\"", "first..last"}},
      {"rule all_reduce bytes .. lanes 2", {"bytes is \"..\""}},
      {"rule all_reduce bytes 1T lanes 2", {"bytes is \"1T\""}},
      {"rule all_reduce ranks 0..2 lanes 2", {"ranks is \"0..2\""}},
      {"rule all_reduce algorithm star", {"algorithm is \"star\"", "ring, recursive_doubling"}},
      {"rule all_reduce algorithm bruck", {"algorithm is \"bruck\""}},
      {"rule all_reduce algorithm automatic", {"algorithm is \"automatic\""}},
      {"rule all_reduce segment 4K lanes 9", {"lanes is \"9\"", "1..8"}},
      {"rule all_reduce segment 100", {"segment is \"100\"", "4K..16M"}},
      {"rule all_reduce segment 4100", {"segment is \"4100\""}},
      {"rule all_reduce lanes", {"the line ends"}}};
  for (const auto& [line, said] : wrong) {
    const Error error =
        expect_error([&, text = std::string("gamma 1\n\n") + line] { (void)parsed(text); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_configuration);
    const std::string what = error.what();
    EXPECT_TRUE(what.starts_with("tuning file machine.tuning:3: ")) << what;
    EXPECT_NE(what.find("; allowed: "), std::string::npos) << what;
    for (const char* part : said) EXPECT_NE(what.find(part), std::string::npos) << what;
  }
}

TEST(Tuning, SizesAreBytesOrPowersOf1024) {
  EXPECT_EQ(size_from("0"), 0U);
  EXPECT_EQ(size_from("12"), 12U);
  EXPECT_EQ(size_from("64K"), 65'536U);
  EXPECT_EQ(size_from("3m"), 3U << 20);
  EXPECT_EQ(size_from("1G"), 1U << 30);
  for (const char* wrong : {"", "K", "1.5K", "-1", "1KB", "17179869184G", "99999999999999999999"}) {
    EXPECT_EQ(size_from(wrong), std::nullopt) << wrong;
  }
}

collectives::Choices built_in(WireNumber wire, int ranks) {
  collectives::Policy policy;
  policy.layout = {.ranks = ranks, .mapped = wire == WireNumber::shm};
  policy.parameters = built_in_parameters(wire, wire);
  return collectives::Choices(policy);
}

bool in_few_steps(Algorithm algorithm) {
  return algorithm == Algorithm::recursive_doubling || algorithm == Algorithm::one_shot;
}

// Where measurements leave no doubt.
TEST(BuiltInParameters, ChooseWhatIsMeasuredToBeBest) {
  constexpr std::uint64_t kMuch = 1 << 20;
  for (const int ranks : {2, 3, 4, 8}) {
    const collectives::Choices shm = built_in(WireNumber::shm, ranks);
    EXPECT_TRUE(in_few_steps(shm.at(Collective::all_reduce, 8).algorithm));
    for (const Collective collective : {Collective::all_reduce, Collective::reduce_scatter,
                                        Collective::all_gather, Collective::reduce}) {
      EXPECT_EQ(shm.at(collective, kMuch).algorithm, Algorithm::direct) << to_string(collective);
    }
    for (const WireNumber wire : {WireNumber::tcp, WireNumber::verbs}) {
      const collectives::Choices other = built_in(wire, ranks);
      EXPECT_TRUE(in_few_steps(other.at(Collective::all_reduce, 8).algorithm));
      // Among few, a block to each at once is as quick as rounds, and nothing is packed.
      EXPECT_EQ(built_in(wire, 64).at(Collective::all_gather, 8).algorithm, Algorithm::bruck);
      if (ranks > 2) {
        EXPECT_NE(other.at(Collective::all_gather, 8).algorithm, Algorithm::ring);
      }
      EXPECT_NE(other.at(Collective::all_reduce, 4 * kMuch).algorithm,
                Algorithm::recursive_doubling);
      if (ranks > 3) {
        EXPECT_NE(other.at(Collective::broadcast, 4 * kMuch).algorithm, Algorithm::binomial);
      }
    }
  }
}

// A step that waits is a switch of the core then, for each of its ranks.
TEST(BuiltInParameters, RanksThatShareACoreTakeOneStepForSmallMessages) {
  collectives::Policy policy;
  policy.layout = {.ranks = 8, .mapped = true, .ranks_per_core = 4};
  policy.parameters = built_in_parameters(WireNumber::shm, WireNumber::shm);
  const collectives::Choices crowded(policy);
  const collectives::Choices alone = built_in(WireNumber::shm, 8);
  for (const Collective collective : {Collective::all_reduce, Collective::barrier}) {
    EXPECT_EQ(crowded.at(collective, 8).algorithm, Algorithm::one_shot);
    EXPECT_EQ(alone.at(collective, 8).algorithm, Algorithm::recursive_doubling);
  }
  EXPECT_EQ(crowded.at(Collective::gather, 8).algorithm, Algorithm::direct);
  EXPECT_EQ(alone.at(Collective::gather, 8).algorithm, Algorithm::binomial);
  // From a root down they run in the order of the tree.
  EXPECT_EQ(crowded.at(Collective::broadcast, 8), alone.at(Collective::broadcast, 8));
  EXPECT_EQ(crowded.at(Collective::all_reduce, 1 << 20).algorithm, Algorithm::direct);
}

// Segments and lanes are changed for a reason only, and not far: scratch grows with both.
TEST(BuiltInParameters, LeaveSegmentsAndLanesAloneOnSharedMemory) {
  const collectives::Choices shm = built_in(WireNumber::shm, 4);
  for (const auto& entry : shm.entries(Collective::all_reduce)) {
    EXPECT_EQ(entry.choice.segment_bytes, 128U * 1024);
    EXPECT_EQ(entry.choice.lanes, 2);
  }
}

/// A file for the length of a test.
class File {
 public:
  explicit File(const std::string& text)
      : path_(testing::TempDir() + "tuning." + std::to_string(::getpid())) {
    std::ofstream(path_) << text;
  }
  ~File() { ::unlink(path_.c_str()); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(TuningFile, IsReadByRank0AndCountsForAll) {
  const File file(
      "rule all_reduce bytes ..1K algorithm tree\n"
      "rule all_reduce algorithm ring segment 4K lanes 5\n");
  run_world(
      4,
      [](Communicator& comm) {
        EXPECT_EQ(comm.algorithm_for(Collective::all_reduce, 256, DataType::float32),
                  Algorithm::tree);
        EXPECT_EQ(comm.algorithm_for(Collective::all_reduce, 257, DataType::float32),
                  Algorithm::ring);
        // Many short segments on five lanes: on all ranks, or nothing would come out right.
        std::vector<std::int32_t> x(100'003);
        std::iota(x.begin(), x.end(), comm.rank());
        comm.all_reduce(std::span(x), ReduceOp::sum);
        for (std::size_t i = 0; i < x.size(); ++i) {
          ASSERT_EQ(x[i], 4 * static_cast<std::int32_t>(i) + 6);
        }
      },
      [&](Config& config) {
        // The others' are not read.
        config.tuning = config.rank == 0 ? file.path() : "/nowhere";
      });
}

TEST(TuningFile, IsHandedOnToCommunicatorsOfOtherRanks) {
  const File file("rule all_reduce algorithm tree\n");
  run_world(
      4,
      [](Communicator& comm) {
        const Communicator part = *comm.split(comm.rank() / 2, 0);
        EXPECT_EQ(part.algorithm_for(Collective::all_reduce, 4096, DataType::float32),
                  Algorithm::tree);
      },
      [&](Config& config) { config.tuning = config.rank == 0 ? file.path() : ""; });
}

TEST(TuningFile, DoesNotWinOverTheConfiguration) {
  const File file("rule all_reduce algorithm tree\nrule broadcast algorithm tree\n");
  run_world(
      3,
      [](Communicator& comm) {
        EXPECT_EQ(comm.algorithm_for(Collective::all_reduce, 4096, DataType::float32),
                  Algorithm::ring);
        EXPECT_EQ(comm.algorithm_for(Collective::broadcast, 4096, DataType::float32),
                  Algorithm::tree);
      },
      [&](Config& config) {
        config.tuning = file.path();
        config.algorithm = Algorithm::ring;
      });
}

// Everybody is told, not only the rank that has the file.
void expect_refused(const std::string& path, const std::vector<std::string>& parts) {
  const auto store = make_process_store();
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 3; ++rank) {
    ranks.emplace_back([&, rank] {
      Config config = testing_support::test_config();
      config.rank = rank;
      config.size = 3;
      if (rank == 0) config.tuning = path;
      const Error error = expect_error([&] { (void)Communicator::create(config, store); });
      EXPECT_EQ(error.code(), ErrorCode::invalid_configuration) << error.what();
      for (const std::string& part : parts) {
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
      }
    });
  }
  for (std::thread& rank : ranks) rank.join();
}

TEST(TuningFile, AMistakeInItIsToldToAllRanks) {
  const File file("gamma 0.1\ngamma much\n");
  expect_refused(file.path(), {file.path() + ":2: gamma is \"much\"", "allowed: 0..1e9"});
}

TEST(TuningFile, OneThatCannotBeReadIsToldToAllRanks) {
  expect_refused("/nowhere/at.all",
                 {"PACELINE_TUNING of rank 0 is \"/nowhere/at.all\"", "No such file"});
  expect_refused("/", {"PACELINE_TUNING of rank 0 is \"/\""});
}

TEST(TuningFile, HasRoomForAThousandRules) {
  std::string text;
  for (int i = 0; i < 1024; ++i)
    text += "rule all_reduce ranks 9 bytes " + std::to_string(i) + " lanes 1\n";
  ASSERT_LT(text.size(), TuningText::kMost);
  const File file(text);
  run_world(
      5, [](Communicator& comm) { comm.barrier(); },
      [&](Config& config) { config.tuning = file.path(); });
  const File one_more(text + "rule all_reduce lanes 1\n");
  expect_refused(one_more.path(), {":1025: there are too many rules"});
}

TEST(TuningFile, IsNoLongerThanACardCanCarry) {
  const File longest(std::string(TuningText::kMost, '\n'));
  EXPECT_EQ(read_tuning(longest.path()).trouble, "");
  run_world(
      3, [](Communicator& comm) { comm.barrier(); },
      [&](Config& config) { config.tuning = longest.path(); });
  const File longer(std::string(TuningText::kMost + 1, '\n'));
  expect_refused(longer.path(), {"longer than 49152 bytes"});
}

}  // namespace
}  // namespace paceline
