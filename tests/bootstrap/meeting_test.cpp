// Ranks meet, or hear in words why they do not.
#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

#include "bootstrap/graph.h"
#include "bootstrap/member.h"
#include "support.h"

namespace paceline::bootstrap {
namespace {

class Meeting : public Timed {};

class MeetingOfSize : public Timed,
                      public testing::WithParamInterface<std::tuple<int, const char*>> {};

TEST_P(MeetingOfSize, AllGatherInLogarithmicRounds) {
  const auto [size, where] = GetParam();
  const bool in_store = std::string(where) == "store";
  const auto configs = configs_of(size, in_store ? "" : free_root(where));
  auto ranks = create_all(configs, in_store ? make_process_store() : nullptr);
  expect_all_met(ranks);
  expect_gathers(ranks, "first");
  expect_gathers(ranks, "second");
  for (const Outcome& rank : ranks) {
    EXPECT_EQ(dynamic_cast<Member&>(*rank.bootstrap).rounds_taken(),
              size == 1 ? 0 : 3 * rounds(size));  // create() does one of its own
    EXPECT_EQ(rank.bootstrap->size(), size);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, MeetingOfSize,
                         testing::Combine(testing::Values(1, 2, 3, 4, 7, 16),
                                          testing::Values("store", "127.0.0.1", "[::1]")));

TEST_F(Meeting, LongAndEmptyBlocksTravel) {
  auto ranks = create_all(configs_of(5), make_process_store());
  expect_all_met(ranks);
  const auto errors = in_parallel(5, [&](int rank) {
    const Bytes mine(rank % 2 == 0 ? 65'536U : 0U, static_cast<std::byte>(rank));
    const auto all = ranks[static_cast<std::size_t>(rank)].bootstrap->all_gather(mine);
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(all[static_cast<std::size_t>(i)],
                Bytes(i % 2 == 0 ? 65'536U : 0U, static_cast<std::byte>(i)));
    }
  });
  for (const auto& error : errors) EXPECT_FALSE(error) << text_of(error);
  EXPECT_THROW((void)ranks[0].bootstrap->all_gather(Bytes(65'537)), Error);
}

TEST_F(Meeting, OneAfterTheOtherAtTheSameRoot) {
  const std::string root = free_root();
  for (int round = 0; round < 3; ++round) {
    auto ranks = create_all(configs_of(4, root), nullptr, "round" + std::to_string(round));
    expect_all_met(ranks);
    expect_gathers(ranks, "again");
  }
}

TEST_F(Meeting, TwoCommunicatorsInOneStoreAtOnce) {
  const auto store = make_process_store();
  std::vector<Outcome> a;
  std::vector<Outcome> b;
  std::thread other([&] { b = create_all(configs_of(3), store, "b"); });
  a = create_all(configs_of(3), store, "a");
  other.join();
  expect_all_met(a);
  expect_all_met(b);
  expect_gathers(a, "a");
  expect_gathers(b, "b");
}

TEST_F(Meeting, ASizeOfOneNeedsNobody) {
  auto ranks = create_all(configs_of(1));
  expect_all_met(ranks);
  EXPECT_EQ(ranks[0].bootstrap->all_gather(to_bytes("me")).at(0), to_bytes("me"));
  FailureWatch watch;
  watch.watch(*ranks[0].bootstrap);
  ranks[0].bootstrap->announce_failure({ErrorCode::aborted, 0, -1, 0, "enough"});
  ASSERT_TRUE(watch.wait(milliseconds(60'000)));
  EXPECT_EQ(watch.wait(milliseconds(0))->text, "enough");
}

TEST_F(Meeting, WrongSecret) {
  auto configs = configs_of(3, free_root());
  for (Config& config : configs) config.secret = "the secret of this job";
  configs[0].timeout = patience(milliseconds(2500));  // the others hear from it
  configs[2].secret = "not the secret of this job";
  const auto ranks = create_all(configs);
  ASSERT_TRUE(ranks[2].error);
  EXPECT_EQ(ranks[2].error->code(), ErrorCode::authentication_failed);
  EXPECT_TRUE(contains(text_of(ranks[2].error), "wrong secret")) << text_of(ranks[2].error);
  EXPECT_TRUE(contains(text_of(ranks[2].error), "PACELINE_SECRET"));
  // The others say who is missing, and rank 0 what may have been the reason.
  for (const int rank : {0, 1}) {
    const auto& error = ranks[static_cast<std::size_t>(rank)].error;
    ASSERT_TRUE(error);
    EXPECT_TRUE(contains(text_of(error), "rank 2 of 3 did not arrive")) << text_of(error);
    EXPECT_TRUE(contains(text_of(error), "wrong secret")) << text_of(error);
  }
}

TEST_F(Meeting, NoSecretMeansLoopbackOnly) {
  Config config = config_of(0, 2, "10.1.2.3:5000");
  for (const int rank : {0, 1}) {
    config.rank = rank;
    try {
      (void)create(config);
      FAIL();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::authentication_failed);
      EXPECT_TRUE(contains(e.what(), "PACELINE_SECRET_FILE")) << e.what();
      EXPECT_TRUE(contains(e.what(), "10.1.2.3:5000 is not a loopback address")) << e.what();
    }
  }
}

TEST_F(Meeting, TwoWithTheSameNumber) {
  auto configs = configs_of(3, free_root());
  configs[2].rank = 1;
  for (const Outcome& rank : create_all(configs)) {
    ASSERT_TRUE(rank.error);
    EXPECT_EQ(rank.error->code(), ErrorCode::invalid_configuration);
    EXPECT_EQ(rank.error->peer(), 1);
    const std::string text = text_of(rank.error);
    EXPECT_TRUE(contains(text, "two processes say they are rank 1: pid ")) << text;
    EXPECT_TRUE(contains(text, ", and pid ")) << text;
  }
}

TEST_F(Meeting, ANumberOutsideTheSize) {
  auto configs = configs_of(3, free_root());
  configs[2].rank = 5;
  for (const Outcome& rank : create_all(configs)) {
    ASSERT_TRUE(rank.error);
    EXPECT_EQ(rank.error->code(), ErrorCode::invalid_configuration);
    EXPECT_TRUE(contains(text_of(rank.error), "says it is rank 5, but there are 3 ranks, 0 to 2"))
        << text_of(rank.error);
  }
}

TEST_F(Meeting, AnotherSize) {
  auto configs = configs_of(3, free_root());
  configs[1].size = 4;
  for (const Outcome& rank : create_all(configs)) {
    ASSERT_TRUE(rank.error);
    const std::string text = text_of(rank.error);
    EXPECT_TRUE(contains(text, "do not agree on how many")) << text;
    EXPECT_TRUE(contains(text, "rank 0, pid ") && contains(text, "says 3, rank 1, pid ")) << text;
    EXPECT_TRUE(contains(text, "says 4")) << text;
  }
}

TEST_F(Meeting, RootThatIsNotThere) {
  Config config = config_of(1, 2, free_root());
  config.timeout = patience(milliseconds(1000));
  const auto begun = std::chrono::steady_clock::now();
  try {
    (void)create(config);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::timeout);
    EXPECT_EQ(e.peer(), 0);
    EXPECT_TRUE(contains(e.what(), "could not")) << e.what();
    EXPECT_TRUE(contains(e.what(), "refused")) << e.what();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begun, milliseconds(10'000));
}

TEST_F(Meeting, WhoIsMissingIsNamedByEverybody) {
  auto configs = configs_of(5, free_root());
  configs.erase(configs.begin() + 4);
  configs.erase(configs.begin() + 2);
  configs[0].timeout = patience(milliseconds(2500));  // the others hear from it
  const auto begun = std::chrono::steady_clock::now();
  for (const Outcome& rank : create_all(configs)) {
    ASSERT_TRUE(rank.error);
    EXPECT_EQ(rank.error->code(), ErrorCode::timeout);
    EXPECT_TRUE(contains(text_of(rank.error), "ranks 2, 4 of 5 did not arrive"))
        << text_of(rank.error);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begun, milliseconds(25'000));  // theirs is 30 s
}

TEST_F(Meeting, NoPlaceToMeet) {
  try {
    (void)create(config_of(1, 2));
    FAIL();
  } catch (const Error& e) {
    EXPECT_TRUE(contains(e.what(), "PACELINE_ROOT")) << e.what();
  }
}

TEST_F(Meeting, PortsAreTakenFromTheRangeAndItsEndIsTold) {
  // A stretch of three ports that are free now. The root is another one.
  int first = 0;
  std::string root;
  for (int attempt = 0; attempt < 1000 && first == 0; ++attempt) {
    const int base = random_port();
    try {
      std::vector<UniqueFd> held;
      for (int i = 0; i < 3; ++i) {
        held.push_back(listen_tcp(
            SocketAddress::loopback_v4().with_port(static_cast<std::uint16_t>(base + i)), 0, 0, 0));
      }
      root = free_root();
      first = base;
    } catch (const Error&) {
    }
  }
  ASSERT_NE(first, 0);
  auto configs = configs_of(3, root);
  for (Config& config : configs) {
    config.port_first = static_cast<std::uint16_t>(first);
    config.port_last = static_cast<std::uint16_t>(first + 2);
  }
  {
    auto ranks = create_all(configs);
    expect_all_met(ranks);
    // All three are taken.
    EXPECT_THROW((void)listen_tcp(SocketAddress::loopback_v4(), static_cast<std::uint16_t>(first),
                                  static_cast<std::uint16_t>(first + 2), 0),
                 Error);
  }
  for (Config& config : configs) {
    config.port_last = static_cast<std::uint16_t>(first + 1);
    config.timeout = patience(milliseconds(2500));
  }
  int exhausted = 0;
  for (const Outcome& rank : create_all(configs)) {
    ASSERT_TRUE(rank.error);
    if (contains(text_of(rank.error), "no port of " + std::to_string(first) + "-" +
                                          std::to_string(first + 1) + " is free on 127.0.0.1")) {
      ++exhausted;
    }
  }
  EXPECT_EQ(exhausted, 1);
}

TEST_F(Meeting, AnInterfaceCanBePrescribed) {
  auto configs = configs_of(3, free_root());
  for (Config& config : configs) config.interface_name = "lo";
  auto ranks = create_all(configs);
  expect_all_met(ranks);
  expect_gathers(ranks, "lo");
  Config wrong = config_of(0, 2, free_root());
  wrong.interface_name = "nosuch0";
  EXPECT_THROW((void)create(wrong), Error);
}

// Ranks 0 and 1 wait for ranks that wait themselves. They give rank 2, which waits for rank 3, a
// fifth of a second to say so: where it is off the core for longer, all is tried again.
TEST_F(Meeting, AllGatherThatOneDoesNotJoinNamesIt) {
  auto configs = configs_of(4, free_root());
  for (Config& config : configs) config.timeout = patience(milliseconds(2500));
  std::vector<std::optional<Error>> errors;
  const auto names_3 = [](const std::optional<Error>& error) {
    return error && error->peer() == 3;
  };
  for (int attempt = 0; attempt < 3; ++attempt) {
    auto ranks = create_all(configs);
    expect_all_met(ranks);
    errors = in_parallel(3, [&](int rank) {
      (void)ranks[static_cast<std::size_t>(rank)].bootstrap->all_gather(to_bytes("x"));
    });
    if (std::all_of(errors.begin(), errors.end(), names_3)) break;
  }
  for (const auto& error : errors) {
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::timeout);
    EXPECT_EQ(error->peer(), 3);
    EXPECT_TRUE(contains(text_of(error), "rank 3 (host ")) << text_of(error);
    EXPECT_TRUE(contains(text_of(error), "has not taken part")) << text_of(error);
  }
}

TEST_F(Meeting, AllGatherAfterSomebodyLeftDoesNotHang) {
  auto ranks = create_all(configs_of(4), make_process_store());
  expect_all_met(ranks);
  ranks[2].bootstrap->leave();
  const auto errors = in_parallel(4, [&](int rank) {
    (void)ranks[static_cast<std::size_t>(rank)].bootstrap->all_gather(to_bytes("x"));
  });
  for (const int rank : {0, 1, 3}) {
    const auto& error = errors[static_cast<std::size_t>(rank)];
    ASSERT_TRUE(error);
    EXPECT_TRUE(contains(text_of(error), "rank 2 (host ")) << text_of(error);
  }
  ASSERT_TRUE(errors[2]);
  EXPECT_EQ(errors[2]->code(), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace paceline::bootstrap
