// Devices and links of the RDMA wire: which are used, which talk to each other, what is said where
// they cannot.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "transport/verbs_pair.h"

namespace paceline::transport::verbs {
namespace {

TEST(VerbsImmediate, OfAPutIsOnTheWireAsWritten) {
  Pair pair({});
  pair.link();
  ASSERT_TRUE(pair.ends[0]->signal(5));
  const std::uint32_t wire = pair.network->book().last_immediate;
  std::uint8_t bytes[4];
  std::memcpy(bytes, &wire, 4);
  EXPECT_EQ(bytes[0], 0x10);
  EXPECT_EQ(bytes[3], 5);
  EXPECT_TRUE(pair.until([&] { return pair.ends[1]->arrived(5) == 1; }));
}

TEST(VerbsGid, IndexThatWasAskedForIsTakenOrRefused) {
  VerbsOptions options;
  options.gid_index = 0;
  Pair pair(options);
  pair.link();
  EXPECT_EQ(pair.network->book().last_address.grh.sgid_index, 0);
  options.gid_index = 7;
  try {
    Pair refused(options);
    FAIL() << "index 7 does not exist";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_configuration);
    expect_has(error.what(), {"fake0 port 1", "GID 7", "PACELINE_IB_GID_INDEX",
                              "1 (RoCE v2 over IPv4", "10.0.0.1"});
  }
}

TEST(VerbsGid, TheChoiceIsLogged) {
  char path[] = "/tmp/paceline-log.XXXXXX";
  ::close(::mkstemp(path));
  Config config;
  config.log_level = LogLevel::info;
  config.log_file = path;
  VerbsOptions options;
  options.log = Logger(config, "world");
  const Pair pair(options);
  std::ifstream file(path);
  std::string line;
  ASSERT_TRUE(std::getline(file, line));
  expect_has(line.c_str(), {"info rank=0", "verbs: RDMA device fake0 port 1 on RoCE v2 over IPv4",
                            "GID 1 (", "10.0.0.1", "chosen from the table"});
  ::unlink(path);
}

// --- which devices talk to each other ---

const Gid kLinkLocal = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

FakeDevice infiniband_device(std::uint16_t lid) {
  FakeDevice device;
  device.name = "ib0";
  device.ports[0].link_layer = IBV_LINK_LAYER_INFINIBAND;
  device.ports[0].lid = lid;
  device.ports[0].gids = {
      {0,
       {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, static_cast<std::uint8_t>(lid)},
       LinkKind::infiniband}};
  return device;
}

FakeDevice roce_v1_device() {
  FakeDevice device;
  device.name = "old0";
  device.ports[0].gids = {{0, kLinkLocal, LinkKind::roce_v1}};
  return device;
}

TEST(VerbsLink, IsMadeByLidOnInfiniBand) {
  Pair pair({}, infiniband_device(3), infiniband_device(4));
  EXPECT_TRUE(pair.transports[0]->reachable(pair.transports[1]->describe()).yes);
  pair.link();
  EXPECT_EQ(pair.network->book().last_address.is_global, 0);
  ASSERT_TRUE(pair.ends[0]->signal(0));
  EXPECT_TRUE(pair.until([&] { return pair.ends[1]->arrived(0) == 1; }));
}

TEST(VerbsLink, IsRefusedBetweenKindsWithBothNamed) {
  Pair pair({}, roce_device(0), roce_v1_device());
  for (int rank : {0, 1}) {
    const Reachable answer =
        pair.transports[rank]->reachable(pair.transports[1 - rank]->describe());
    EXPECT_FALSE(answer.yes);
    expect_has(answer.why_not, {"RoCE v1", "RoCE v2 over IPv4", "old0 port 1", "fake0 port 1"});
  }
  expect_has(pair.link_error(), {"RoCE v1", "RoCE v2 over IPv4", "PACELINE_IB_GID_INDEX"});
  Pair mixed({}, infiniband_device(1), roce_device(1));
  expect_has(mixed.link_error(), {"InfiniBand", "RoCE v2 over IPv4"});
}

TEST(VerbsLink, UsesTheSmallerMtuOfBothEnds) {
  for (bool swapped : {false, true}) {
    FakeDevice large = roce_device(0);
    FakeDevice small = roce_device(1);
    (swapped ? large : small).ports[0].mtu = IBV_MTU_1024;
    Pair pair({}, large, small);
    pair.link();
    EXPECT_EQ(pair.network->book().last_path_mtu, IBV_MTU_1024);
  }
}

TEST(VerbsLink, ThatCarriesNothingFailsWhenItIsMade) {
  Pair pair({}, roce_device(0), roce_device(1), 2);
  pair.network->cut();
  expect_has(pair.link_error(),
             {"RDMA link to rank", "fake0 port 1", "RoCE v2 over IPv4", "queue pair",
              "transport retry counter exceeded", "does not answer", "MTU"});
}

TEST(VerbsLink, PeerThatDiesWhileThePathIsTriedIsNoticed) {
  Pair pair({}, roce_device(0), roce_device(1), 2);
  pair.network->cut();
  auto [dialed, accepted] = stream_pairs({});
  auto dialer = pair.transports[0]->connect(1, Role::dialer, std::move(dialed));
  auto listener = pair.transports[1]->connect(0, Role::listener, std::move(accepted));
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(dialer->poll(), nullptr);
    EXPECT_EQ(listener->poll(), nullptr);
  }
  listener.reset();
  std::string text;
  const Nanoseconds start = steady_now();
  while (text.empty() && steady_now() - start < conformance::kPatience) {
    try {
      (void)dialer->poll();
    } catch (const Error& error) {
      text = error.what();
      EXPECT_EQ(error.peer(), 1);
    }
  }
  expect_has(text, {"rank 1", "hung up while an RDMA link was made"});
}

TEST(VerbsDevice, AbsenceIsASentence) {
  auto network = std::make_shared<FakeNetwork>();
  auto none = std::make_shared<FakeVerbs>(network, std::vector<FakeDevice>{});
  EXPECT_EQ(verbs_available({}, none).why_not, "no RDMA device here");
  auto without = make_verbs_transport({}, none);
  auto with = make_verbs_transport(
      {}, std::make_shared<FakeVerbs>(network, std::vector<FakeDevice>{roce_device()}));
  expect_has(without->reachable(with->describe()).why_not, {"no RDMA device here"});
  expect_has(with->reachable(without->describe()).why_not, {"the peer has no usable RDMA device"});
  EXPECT_FALSE(without->needs_progress());
  Bytes memory(100);
  EXPECT_EQ(without->register_memory({memory.data(), memory.size()})->key(), kNoKey);
  EXPECT_THROW((void)without->connect(1, Role::dialer, {}), Error);
}

TEST(VerbsDevice, ReasonsOfUnusableOnesAreGiven) {
  auto network = std::make_shared<FakeNetwork>();
  FakeDevice down = roce_device();
  down.name = "down0";
  down.ports[0].state = IBV_PORT_DOWN;
  FakeDevice bare = roce_device();
  bare.name = "bare0";
  bare.ports[0].gids.clear();
  FakeDevice iwarp = roce_device();
  iwarp.name = "siw0";
  iwarp.transport = IBV_TRANSPORT_IWARP;
  const auto host = [&](std::vector<FakeDevice> devices) {
    return std::make_shared<FakeVerbs>(network, std::move(devices));
  };
  VerbsOptions options;
  options.connect = IbConnect::exchange;
  expect_has(verbs_available(options, host({down, bare, iwarp})).why_not,
             {"down0 port 1 is not active", "bare0 port 1 has no GID", "siw0 is iWARP",
              "PACELINE_IB_CONNECT=exchange rules that out"});
  // A usable one after them is found, on its second port too.
  FakeDevice good = roce_device();
  good.name = "good0";
  good.ports.insert(good.ports.begin(), down.ports[0]);
  EXPECT_TRUE(verbs_available(options, host({down, bare, iwarp, good})).yes);
  EXPECT_TRUE(verbs_available({.device = "good0:2"}, host({down, good})).yes);
  EXPECT_FALSE(verbs_available({.device = "good0:1"}, host({down, good})).yes);
  try {
    (void)make_verbs_transport({.device = "mlx5_9"}, host({down, good}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_configuration);
    expect_has(error.what(), {"mlx5_9", "PACELINE_IB_DEVICE", "down0", "good0"});
  }
  EXPECT_THROW((void)make_verbs_transport({.device = "good0:x"}, host({good})), Error);
  EXPECT_EQ(network->book().live_objects, 0);
}

TEST(VerbsDevice, LibraryThatIsMissingIsASentence) {
  std::string why_not;
  EXPECT_EQ(load_verbs_api(why_not, "libno-such-verbs.so.1"), nullptr);
  EXPECT_EQ(why_not, "libno-such-verbs.so.1 not found");
  EXPECT_EQ(load_verbs_api(why_not, "libc.so.6"), nullptr);
  expect_has(why_not, {"libc.so.6 has no ibv_", "rdma-core"});
}

TEST(VerbsDevice, ForkSafetyComesBeforeAnyOtherVerb) {
  Pair pair({});
  EXPECT_EQ(pair.network->book().fork_inits, 1u);
  EXPECT_EQ(pair.network->book().verbs_before_fork_init, 0u);
}

TEST(VerbsDevice, ChildOfForkIsToldAndDestroysNothing) {
  Pair pair({});
  pair.link();
  const pid_t child = ::fork();
  if (child == 0) {
    bool told = false;
    try {
      (void)pair.ends[0]->send(pattern(8, 1), {});
    } catch (const Error& error) {
      told = std::string(error.what()).find("fork") != std::string::npos;
    }
    const auto before = pair.network->book().live_objects;
    pair.ends[0].reset();
    pair.transports[0].reset();
    ::_exit(told && pair.network->book().live_objects == before ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ASSERT_TRUE(pair.ends[0]->signal(0));
  EXPECT_TRUE(pair.until([&] { return pair.ends[1]->arrived(0) == 1; }));
}

TEST(VerbsMemory, LockedMemoryLimitIsExplained) {
  Pair pair({});
  pair.network->fail_registrations(ENOMEM);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &old), 0);
  rlimit low = old;
  low.rlim_cur = 65536;
  ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &low), 0);
  Bytes memory(123'456);
  try {
    (void)pair.transports[0]->register_memory({memory.data(), memory.size()});
    ADD_FAILURE() << "it was registered";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    expect_has(error.what(), {"fake0 port 1", "123456 bytes", "RLIMIT_MEMLOCK", "65536 bytes",
                              "ulimit -l unlimited"});
  }
  EXPECT_EQ(::setrlimit(RLIMIT_MEMLOCK, &old), 0);
  pair.network->fail_registrations(0);
  EXPECT_NE(pair.transports[0]->register_memory({memory.data(), memory.size()})->key(), kNoKey)
      << "a device's key of 0 is a key too";
}

}  // namespace
}  // namespace paceline::transport::verbs
