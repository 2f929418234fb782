// PMI-1 against a launcher that is a thread: in order, in pieces, and lying.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "bootstrap/launcher_store.h"
#include "bootstrap/mpi_presence.h"
#include "bootstrap/pmi1_channel.h"
#include "bootstrap/pmi1_session.h"
#include "bootstrap/pmi1_store.h"
#include "fake_pmi.h"
#include "support.h"

namespace paceline::bootstrap {
namespace {

using Pmi1 = Timed;

Nanoseconds in(milliseconds time) {
  return steady_now() + std::chrono::nanoseconds(time).count();
}

constexpr milliseconds kLong{20'000};

// --- lines -------------------------------------------------------------------------------------

TEST(PmiWire, AnswersAreRead) {
  const auto words = pmi_words("cmd=get_result rc=-1 msg=key_not_found value=");
  ASSERT_TRUE(words);
  EXPECT_EQ(words->size(), 4U);
  EXPECT_EQ(words->find("cmd")->second, "get_result");
  EXPECT_EQ(words->find("value")->second, "");
  EXPECT_EQ(pmi_number(*words, "rc"), -1);
  EXPECT_EQ(pmi_number(*words, "msg"), std::nullopt);
  EXPECT_EQ(pmi_number(*words, "none"), std::nullopt);
  EXPECT_EQ(pmi_words("a=b=c")->find("a")->second, "b=c");
  EXPECT_TRUE(pmi_words("cmd=barrier_out "));  // some launchers end so
}

TEST(PmiWire, GarbageIsNone) {
  for (const std::string& line :
       {std::string(), std::string("cmd"), std::string("=x"), std::string("cmd=a cmd=b"),
        std::string("a=b  c=d"), std::string(" a=b"), std::string("a=b\tc=d"),
        std::string("a=\xff"), std::string("a=b\0", 4), std::string("GET / HTTP/1.1\r")}) {
    EXPECT_FALSE(pmi_words(line)) << line;
  }
}

TEST(PmiWire, LinesComeInAnyPieces) {
  const std::string text = "cmd=a\ncmd=bb x=y\n\ncmd=c";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    PmiLines lines;
    std::vector<std::string> found;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      ASSERT_TRUE(lines.add(std::string_view(text).substr(at, piece)));
      while (auto line = lines.take()) found.push_back(*line);
    }
    EXPECT_EQ(found, (std::vector<std::string>{"cmd=a", "cmd=bb x=y", ""})) << piece;
  }
}

TEST(PmiWire, ALineHasAnEnd) {
  PmiLines lines;
  EXPECT_TRUE(lines.add(std::string(kMaxPmiLine, 'x')));
  EXPECT_FALSE(lines.add("x"));
  EXPECT_FALSE(lines.add("\n"));
  EXPECT_EQ(lines.take(), std::nullopt);
  PmiLines whole;
  EXPECT_FALSE(whole.add(std::string(kMaxPmiLine + 1, 'x') + "\n"));
}

TEST(PmiWire, ValuesSurviveBeingCut) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const std::vector<std::string> values = {"", "x", all, std::string(64 * 1024, '\xa5')};
  for (const std::string& value : values) {
    for (const std::size_t longest :
         {std::size_t{16}, std::size_t{17}, std::size_t{255}, std::size_t{900}}) {
      const std::vector<std::string> pieces = pmi_pieces(value, longest);
      for (const std::string& piece : pieces) {
        EXPECT_LE(piece.size(), longest);
        EXPECT_FALSE(piece.empty());
      }
      EXPECT_EQ(pmi_piece_count(pieces[0]), pieces.size());
      EXPECT_EQ(pmi_value(pieces), value);
    }
  }
  EXPECT_THROW((void)pmi_pieces(std::string(128 * 1024, 'x'), 16), Error);
}

TEST(PmiWire, PiecesOfSomebodyElseAreNoValue) {
  using Pieces = std::vector<std::string>;
  for (const Pieces& pieces : {Pieces{}, Pieces{""}, Pieces{"61"}, Pieces{"0."}, Pieces{"2.61"},
                               Pieces{"1.6"}, Pieces{"1.6g"}, Pieces{"1.6A"}, Pieces{"x.61"},
                               Pieces{"1.61", "62"}, Pieces{"99999999.61"}, Pieces{"-1.61"}}) {
    EXPECT_EQ(pmi_value(pieces), std::nullopt) << (pieces.empty() ? "none" : pieces[0]);
  }
}

// --- a conversation ----------------------------------------------------------------------------

std::vector<std::unique_ptr<Pmi1Channel>> channels_of(const FakePmi& launcher, int size) {
  std::vector<std::unique_ptr<Pmi1Channel>> channels;
  for (int rank = 0; rank < size; ++rank) {
    channels.push_back(std::make_unique<Pmi1Channel>(launcher.fd(rank), "the fake"));
    channels.back()->begin(size, in(kLong));
  }
  return channels;
}

void exchange(const FakePmi& launcher, int size, const std::string& value) {
  const auto channels = channels_of(launcher, size);
  const auto errors = in_parallel(size, [&](int rank) {
    Pmi1Store store(*channels[static_cast<std::size_t>(rank)], kLong);
    for (const std::string key : {"paceline/world/rank0", "paceline/world/rank0", "another"}) {
      if (rank == 0) {
        store.set(key, value);
      } else {
        EXPECT_EQ(store.get(key, kLong), value);
      }
    }
    channels[static_cast<std::size_t>(rank)]->finalize(in(kLong));
  });
  for (const auto& error : errors) EXPECT_FALSE(error) << text_of(error);
  EXPECT_EQ(launcher.good_byes(), size);
  EXPECT_LE(launcher.longest_question(), kMaxPmiQuestion);
}

TEST_F(Pmi1, RanksExchangeWhatRankZeroSays) {
  exchange(FakePmi(4), 4, std::string("any\0bytes\xff", 10) + " and more");
}

TEST_F(Pmi1, ALongValueTakesManyKeys) {
  FakePmi::Habits habits;
  habits.value_limit = 4096;  // Intel MPI's; a line of ours stays short all the same
  exchange(FakePmi(2, habits), 2, std::string(20'000, 'v'));
}

TEST_F(Pmi1, ALauncherWithLittleRoomAndShortBreath) {
  FakePmi::Habits habits;
  habits.key_limit = 32;
  habits.value_limit = 64;
  habits.piece = 1;
  habits.universe = 3;
  exchange(FakePmi(3, habits), 3, std::string(500, '\xff'));
}

TEST_F(Pmi1, ManyRoundsKeepTheirKeysShort) {
  FakePmi::Habits habits;
  habits.key_limit = 32;
  const FakePmi launcher(1, habits);
  Pmi1Channel channel(launcher.fd(0), "the fake");
  channel.begin(1, in(kLong));
  Pmi1Store store(channel, kLong);
  for (int i = 0; i < 1000; ++i) ASSERT_NO_THROW(store.set("world", "x")) << i;
}

TEST_F(Pmi1, TheIdentityComesOverAPort) {
  const FakePmi launcher(1);
  Pmi1Channel channel(launcher.fd(0), "the fake");
  const Pmi1Channel::Identity identity = channel.introduce(7, in(kLong));
  EXPECT_EQ(identity.rank, 2);
  EXPECT_EQ(identity.size, 4);
  channel.begin(4, in(kLong));
}

// What comes of one rank whose launcher has these habits: the text of the error.
std::string trouble(const FakePmi::Habits& habits, ErrorCode code, int size = 1,
                    milliseconds time = kLong) {
  const FakePmi launcher(1, habits);
  Pmi1Channel channel(launcher.fd(0), "PMI_FD=8");
  std::string text;
  try {
    if (habits.instead.contains("cmd=initack")) (void)channel.introduce(0, in(time));
    channel.begin(size, in(time));
    Pmi1Store(channel, time).set("key", "value");
    ADD_FAILURE() << "nothing was noticed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    text = error.what();
  }
  EXPECT_TRUE(contains(text, "PMI_FD=8")) << text;
  EXPECT_TRUE(contains(text, "PACELINE_ROOT")) << text;
  EXPECT_FALSE(contains(text, "\n")) << text;
  EXPECT_LT(text.size(), 400U) << text;
  // It says the same again, and does not wait for anybody.
  if (channel.broken()) {
    try {
      channel.barrier(in(kLong));
      ADD_FAILURE() << "the conversation went on";
    } catch (const Error& error) {
      EXPECT_EQ(text, error.what());
    }
  }
  return text;
}

std::string trouble_with(const std::string& question, const std::string& answer, ErrorCode code,
                         milliseconds time = kLong) {
  FakePmi::Habits habits;
  habits.instead = {{question, answer}};
  return trouble(habits, code, 1, time);
}

TEST_F(Pmi1, GarbageIsQuoted) {
  const auto failed = ErrorCode::bootstrap_failed;
  EXPECT_TRUE(contains(trouble_with("cmd=init ", "HTTP/1.1 400 Bad Request\r\n", failed),
                       "\"HTTP/1.1 400 Bad Request?\""));
  EXPECT_TRUE(
      contains(trouble_with("cmd=init ", "cmd=finalize_ack\n", failed), "cmd=finalize_ack"));
  EXPECT_TRUE(contains(trouble_with("cmd=init ", "\n", failed), "it answers \"\""));
  EXPECT_TRUE(
      contains(trouble_with("cmd=init ", "cmd=response_to_init rc=0\n", failed), "pmi_version"));
  EXPECT_TRUE(
      contains(trouble_with("cmd=get_maxes", "cmd=maxes keylen_max=many vallen_max=9\n", failed),
               "keylen_max"));
  EXPECT_TRUE(
      contains(trouble_with("cmd=get_my", "cmd=my_kvsname rc=0\n", failed), "get_my_kvsname"));
  EXPECT_TRUE(contains(trouble_with("cmd=put", "cmd=put_result rc=-1 msg=no\n", failed),
                       "does not take the key"));
  EXPECT_TRUE(contains(trouble_with("cmd=put", "cmd=put_result\n", failed), "no number \"rc\""));
  EXPECT_TRUE(contains(trouble_with("cmd=barrier_in", std::string(5000, '\x01') + "\n", failed),
                       "????..."));
}

TEST_F(Pmi1, AnAnswerWithoutAnEndIsCutOff) {
  EXPECT_TRUE(
      contains(trouble_with("cmd=init ", std::string(20'000, 'x'), ErrorCode::bootstrap_failed),
               "more than 8192 bytes"));
}

TEST_F(Pmi1, LimitsThatLeaveNoRoomAreRefused) {
  for (const char* limits :
       {"keylen_max=31 vallen_max=1024", "keylen_max=64 vallen_max=63",
        "keylen_max=-1 vallen_max=-1", "keylen_max=2147483647 vallen_max=64"}) {
    EXPECT_FALSE(trouble_with("cmd=get_maxes", std::string("cmd=maxes ") + limits + "\n",
                              ErrorCode::unsupported)
                     .empty());
  }
}

TEST_F(Pmi1, AnotherVersionIsRefused) {
  EXPECT_TRUE(contains(trouble_with("cmd=init ", "cmd=response_to_init pmi_version=2 rc=0\n",
                                    ErrorCode::unsupported),
                       "version 1"));
}

TEST_F(Pmi1, ASizeBeyondTheUniverseIsALie) {
  FakePmi::Habits habits;
  habits.universe = 4;
  EXPECT_TRUE(contains(trouble(habits, ErrorCode::invalid_configuration, 5), "at most 4"));
}

TEST_F(Pmi1, AnImpossibleIdentityIsALie) {
  for (const char* identity : {"cmd=set size=2\ncmd=set rank=2\ncmd=set debug=0\n",
                               "cmd=set size=0\ncmd=set rank=0\ncmd=set debug=0\n",
                               "cmd=set size=2\ncmd=set rank=-1\ncmd=set debug=0\n",
                               "cmd=set rank=0\ncmd=set size=2\ncmd=set debug=0\n"}) {
    FakePmi::Habits habits;
    habits.instead = {{"cmd=initack", std::string("cmd=initack\n") + identity}};
    EXPECT_FALSE(trouble(habits, ErrorCode::bootstrap_failed).empty());
  }
}

TEST_F(Pmi1, ALauncherThatHangsUpIsNoticedAtOnce) {
  for (const char* question : {"cmd=init ", "cmd=get_maxes", "cmd=put", "cmd=barrier_in"}) {
    FakePmi::Habits habits;
    habits.hang_up_at = question;
    EXPECT_TRUE(contains(trouble(habits, ErrorCode::bootstrap_failed), "closed the connection"))
        << question;
  }
}

TEST_F(Pmi1, SilenceEndsWithTheTimeOut) {
  // Long enough for what comes before the silence.
  const auto time = patience(milliseconds(1000));
  EXPECT_TRUE(
      contains(trouble_with("cmd=barrier_in", "", ErrorCode::timeout, time), "PACELINE_TIMEOUT"));
  EXPECT_TRUE(contains(trouble_with("cmd=init ", "cmd=response_to_init", ErrorCode::timeout, time),
                       "in time"));
}

TEST_F(Pmi1, DifferentCommunicatorsDoNotMeet) {
  const FakePmi launcher(2);
  const auto channels = channels_of(launcher, 2);
  const auto errors = in_parallel(2, [&](int rank) {
    Pmi1Store store(*channels[static_cast<std::size_t>(rank)], kLong);
    if (rank == 0) store.set("left", "value");
    if (rank == 1) (void)store.get("right", kLong);
  });
  EXPECT_FALSE(errors[0]) << text_of(errors[0]);
  ASSERT_TRUE(errors[1]);
  EXPECT_TRUE(contains(text_of(errors[1]), "same communicators in the same order"))
      << text_of(errors[1]);
  EXPECT_FALSE(channels[1]->broken());
}

// --- from a Config -----------------------------------------------------------------------------

std::string refusal(const Config& config) {
  try {
    (void)make_launcher_store(config);
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "not refused: " << config.channel;
  return {};
}

Config found(Launcher launcher, const std::string& channel) {
  Config config = config_of(1, 4);
  config.launcher = launcher;
  config.channel = channel;
  config.timeout = milliseconds(500);
  return config;
}

TEST_F(Pmi1, AChannelThatIsNotThereIsNamed) {
  EXPECT_TRUE(contains(refusal(found(Launcher::mpich, "pmi:fd=987")), "none is open there"));
  int pipe[2] = {-1, -1};
  ASSERT_EQ(::pipe(pipe), 0);
  const UniqueFd reader(pipe[0]);
  const UniqueFd writer(pipe[1]);
  EXPECT_TRUE(contains(refusal(found(Launcher::slurm, "pmi:fd=" + std::to_string(pipe[0]))),
                       "something else"));
  const std::string nobody = free_root();
  EXPECT_TRUE(contains(refusal(found(Launcher::mpich, "pmi:port=" + nobody + ",id=1")),
                       nobody + ": Connection refused"));
  EXPECT_TRUE(contains(refusal(found(Launcher::mpich, "pmi:port=no.such.invalid:1,id=1")),
                       "no.such.invalid"));
  EXPECT_TRUE(contains(refusal(found(Launcher::mpich, "pmi")), "Config::channel is \"pmi\""));
}

TEST_F(Pmi1, ALauncherWithoutAChannelSaysWhatToSet) {
  EXPECT_TRUE(contains(refusal(found(Launcher::mpich, "")), "PMI_FD"));
  EXPECT_TRUE(contains(refusal(found(Launcher::intel_mpi, "")), "PMI_FD"));
  EXPECT_TRUE(contains(refusal(found(Launcher::open_mpi, "")), "PMIX_NAMESPACE"));
  EXPECT_TRUE(contains(refusal(found(Launcher::slurm, "")), "--mpi=pmix"));
  for (const Launcher launcher : {Launcher::none, Launcher::paceline, Launcher::torchrun,
                                  Launcher::mpich, Launcher::open_mpi, Launcher::slurm}) {
    EXPECT_TRUE(contains(refusal(found(launcher, "")), "PACELINE_ROOT"));
  }
}

TEST_F(Pmi1, ASizeThatIsKnownIsNotAskedFor) {
  EXPECT_EQ(with_rank_and_size(found(Launcher::mpich, "pmi:fd=987")).size, 4);
  Config config = found(Launcher::mpich, "pmi:port=" + free_root() + ",id=1");
  config.size = 0;
  EXPECT_THROW((void)with_rank_and_size(config), Error);
  config.channel = "";
  EXPECT_THROW((void)with_rank_and_size(config), Error);
}

// A library that only looks like MPI's, loaded as Python loads them: in no global scope.
TEST_F(Pmi1, OnceMpiHasBegunTheChannelIsMpis) {
  ASSERT_FALSE(mpi_was_initialized());
  void* const library = ::dlopen(PRETEND_MPI, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << ::dlerror();
  EXPECT_FALSE(mpi_was_initialized());
  int* const flag = static_cast<int*>(::dlsym(library, "pretend_initialized"));
  ASSERT_NE(flag, nullptr);
  *flag = 1;
  EXPECT_TRUE(mpi_was_initialized());
  const FakePmi launcher(1);
  const std::string text =
      refusal(found(Launcher::mpich, "pmi:fd=" + std::to_string(launcher.fd(0))));
  for (const char* word : {"MPI_Init", "Store", "PACELINE_ROOT"}) {
    EXPECT_TRUE(contains(text, word)) << text;
  }
  EXPECT_EQ(launcher.longest_question(), 0U);
  *flag = 0;
  ::dlclose(library);
}

}  // namespace
}  // namespace paceline::bootstrap
