// What only the RDMA wire does: choices of GID, MTU and sizes, flow control under hard limits, and
// the texts of its errors. Over fake devices.
#include "transport_verbs/verbs_transport.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include <cerrno>

#include "transport/fabric.h"
#include "transport/fake_verbs.h"
#include "transport_verbs/completion_text.h"
#include "transport_verbs/flow.h"
#include "transport_verbs/immediate.h"
#include "transport_verbs/qp_info.h"

namespace paceline::transport {
namespace {

using namespace verbs;
using conformance::Fabric;
using conformance::pattern;
using conformance::remote;
using conformance::same;
using conformance::SharedMemory;
using conformance::stream_pairs;
using ::testing::Test;

/// Two ranks on devices of the test's choice.
struct Pair {
  explicit Pair(const VerbsOptions& options, FakeDevice device0 = roce_device(0),
                FakeDevice device1 = roce_device(1), unsigned reluctance = 0)
      : network(std::make_shared<FakeNetwork>(reluctance)) {
    VerbsOptions strict = options;
    strict.rnr_retry = 0;
    transports[0] = make_verbs_transport(
        strict, std::make_shared<FakeVerbs>(network, std::vector<FakeDevice>{device0}));
    transports[1] = make_verbs_transport(
        strict, std::make_shared<FakeVerbs>(network, std::vector<FakeDevice>{device1}));
  }
  void link() {
    auto [dialed, accepted] = stream_pairs({});
    auto dialer = transports[0]->connect(1, Role::dialer, std::move(dialed));
    auto listener = transports[1]->connect(0, Role::listener, std::move(accepted));
    ASSERT_TRUE(until([&] {
      if (!ends[0]) ends[0] = dialer->poll();
      if (!ends[1]) ends[1] = listener->poll();
      return ends[0] && ends[1];
    }));
  }
  /// The text of the error that linking ends with.
  std::string link_error() {
    try {
      link();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  template <class Done>
  [[nodiscard]] bool until(Done done) {
    const Nanoseconds start = steady_now();
    while (!done()) {
      if (steady_now() - start > conformance::kPatience) return false;
      transports[0]->progress();
      transports[1]->progress();
    }
    return true;
  }
  /// The text of the error that rank 0's or 1's end throws.
  std::string error_at(int rank) {
    std::string text;
    EXPECT_TRUE(until([&] {
      try {
        (void)ends[rank]->front();
        (void)ends[rank]->flushed();
        (void)ends[rank]->signal(0);
      } catch (const Error& error) {
        text = error.what();
      }
      return !text.empty();
    }));
    return text;
  }
  std::shared_ptr<FakeNetwork> network;
  std::unique_ptr<Transport> transports[2];
  std::unique_ptr<Endpoint> ends[2];
};

void expect_has(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}

void expect_clean(const FakeNetwork::Book& book) {
  EXPECT_EQ(book.missing_receives, 0u);
  EXPECT_EQ(book.send_overflows, 0u);
  EXPECT_EQ(book.completion_overflows, 0u);
}

// --- arithmetic
// ------------------------------------------------------------------------------------

TEST(VerbsImmediate, GoesInNetworkOrder) {
  const std::uint32_t wire = to_wire({Immediate::Kind::message, 0xabc, 0x1234});
  std::uint8_t bytes[4];
  std::memcpy(bytes, &wire, 4);
  EXPECT_EQ(bytes[0], 0x2a);
  EXPECT_EQ(bytes[1], 0xbc);
  EXPECT_EQ(bytes[2], 0x12);
  EXPECT_EQ(bytes[3], 0x34);
  EXPECT_EQ(from_wire(wire), (Immediate{Immediate::Kind::message, 0xabc, 0x1234}));
}

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

TEST(VerbsFlow, SendQueueNeverFillsWithRequestsThatNothingFrees) {
  for (std::uint32_t depth = 1; depth <= 300; ++depth) {
    SendQueue queue(depth);
    std::uint64_t last_signalled = 0;
    for (int i = 0; i < 2000; ++i) {
      if (!queue.has_room()) {
        ASSERT_GT(last_signalled, queue.done()) << "depth " << depth;
        ASSERT_TRUE(queue.complete(last_signalled));
      }
      ASSERT_TRUE(queue.has_room());
      const auto ticket = queue.take(i % 37 == 0);
      if (ticket.signalled) last_signalled = ticket.number;
    }
    EXPECT_FALSE(queue.complete(queue.done()));
    EXPECT_FALSE(queue.complete(1'000'000));
  }
}

std::uint32_t up_to(std::mt19937& random, std::uint32_t limit) {
  return static_cast<std::uint32_t>(random() % limit);
}

/// The claim in flow.h: the reserve is never used up, whatever the order of events.
TEST(VerbsFlow, ReserveIsEnoughForCreditsThatNobodyHasRead) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const std::uint32_t receives = up_to(random, 100) + 16;
    const std::uint32_t slots = up_to(random, 100) + 16;
    struct Side {
      ReceiveQueue queue;
      std::uint32_t posted = 0;
      std::uint32_t may_send = 0;
      std::uint32_t free_slots = 0;
      std::uint32_t unpopped = 0;
      std::deque<std::array<std::uint32_t, 3>> inbox;  ///< kind, receives, slots
    };
    Side sides[2];
    for (Side& side : sides) {
      side.queue = ReceiveQueue(receives, slots);
      side.posted = receives + ReceiveQueue::kReserve;
      side.may_send = receives;
      side.free_slots = slots;
    }
    std::uint64_t sent = 0;
    std::uint64_t sent_before_the_end = 0;
    const auto notify = [&](int to, std::array<std::uint32_t, 3> what) {
      ASSERT_GT(sides[to].posted, 0u) << "seed " << seed;
      --sides[to].posted;
      sides[to].inbox.push_back(what);
    };
    for (int step = 0; step < 20'000; ++step) {
      if (step == 19'000) sent_before_the_end = sent;
      const int me = static_cast<int>(random() % 2);
      Side& side = sides[me];
      for (std::uint32_t most = up_to(random, 64); most > 0 && side.may_send > 0; --most) {
        const bool message = random() % 2 == 0 && side.free_slots > 0;
        if (message) --side.free_slots;
        --side.may_send;
        ++sent;
        notify(1 - me, {message ? 1u : 0u, 0, 0});
      }
      if (random() % 8 != 0) continue;  // somebody who polls seldom
      for (; !side.inbox.empty(); side.inbox.pop_front()) {
        const auto [kind, more, freed] = side.inbox.front();
        if (kind == 2) {
          side.queue.took_credits();
          side.may_send += more;
          side.free_slots += freed;
        } else {
          side.queue.took_data();
          side.unpopped += kind;
        }
      }
      for (std::uint32_t most = up_to(random, 64); most > 0 && side.unpopped > 0; --most) {
        --side.unpopped;
        side.queue.freed_slot();
      }
      side.posted += side.queue.to_post();
      if (side.queue.to_post() > 0) side.queue.posted();
      if (side.queue.owes_credits()) {
        const auto credits = side.queue.take_credits();
        notify(1 - me, {2, credits.receives, credits.slots});
      }
      if (HasFailure()) return;
    }
    EXPECT_GT(sent, sent_before_the_end) << "it came to a stop, seed " << seed;
  }
}

TEST(VerbsFlow, BounceRingGivesEachByteToOneLoanAtATime) {
  std::mt19937 random(1);
  BounceRing ring(1000);
  std::vector<int> owner(1000, 0);
  std::deque<std::pair<std::uint64_t, std::pair<std::uint32_t, std::uint32_t>>> loans;
  int granted = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint32_t size = 1 + static_cast<std::uint32_t>(random() % 400);
    const std::uint32_t at = ring.take(size);
    if (at == BounceRing::kNone) {
      ASSERT_FALSE(loans.empty()) << "an empty ring refused";
      const auto [mark, where] = loans.front();
      for (std::uint32_t b = 0; b < where.second; ++b) owner[where.first + b] = 0;
      ring.release(mark);
      loans.pop_front();
      continue;
    }
    ++granted;
    ASSERT_LE(at + size, 1000u);
    for (std::uint32_t b = 0; b < size; ++b) ASSERT_EQ(std::exchange(owner[at + b], 1), 0);
    loans.push_back({ring.end(), {at, size}});
  }
  EXPECT_GT(granted, 5'000);
}

TEST(VerbsQpInfo, HasGoldenBytesAndRefusesDamage) {
  QpInfo info;
  info.kind = LinkKind::roce_v2_ipv4;
  info.mtu = 5;
  info.lid = 0x0102;
  info.gid = ipv4_gid(10, 1, 2, 3);
  info.qp_number = 0x030405;
  info.packet_number = 0x060708;
  info.mailbox_address = 0x1112131415161718;
  info.mailbox_key = 0x21222324;
  info.message_slots = 64;
  info.receives = 512;
  const Bytes bytes = info.pack();
  ASSERT_EQ(bytes.size(), QpInfo::kPackedSize);
  const unsigned golden[] = {'P', 'L', 'v', 'q', 0, 1, 3, 5, 1, 2};
  for (std::size_t i = 0; i < std::size(golden); ++i) {
    EXPECT_EQ(std::to_integer<unsigned>(bytes[i]), golden[i]) << i;
  }
  EXPECT_EQ(std::to_integer<unsigned>(bytes[34]), 0x11u);  // addresses too in network order
  EXPECT_EQ(QpInfo::unpack(bytes, 3).mailbox_address, info.mailbox_address);
  EXPECT_EQ(QpInfo::unpack(bytes, 3).gid, info.gid);
  EXPECT_EQ(QpInfo::unpack(bytes, 3).receives, 512u);
  const auto error_of = [](const Bytes& broken) -> std::string {
    try {
      (void)QpInfo::unpack(broken, 3);
    } catch (const Error& error) {
      EXPECT_EQ(error.peer(), 3);
      return error.what();
    }
    return "no error";
  };
  Bytes other = bytes;
  other[0] = std::byte{'X'};
  expect_has(error_of(other), {"rank 3", "something else"});
  other = bytes;
  other[5] = std::byte{9};
  expect_has(error_of(other), {"version 9", "version of Paceline"});
  other = bytes;
  other[7] = std::byte{6};
  expect_has(error_of(other), {"damaged"});
  expect_has(error_of(Bytes(bytes.begin(), bytes.begin() + 20)), {"damaged"});
}

// --- the choice of a GID
// -----------------------------------------------------------------------------

const Gid kGlobal = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
const Gid kLinkLocal = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

int chosen(std::vector<GidEntry> entries, std::optional<Ipv4Network> near = std::nullopt) {
  const auto choice = choose_gid(entries, near);
  return choice ? choice->index : -1;
}

TEST(VerbsGid, IsChosenInTheOrderThatIsDocumented) {
  const GidEntry v1_local{0, kLinkLocal, LinkKind::roce_v1};
  const GidEntry v2_local{1, kLinkLocal, LinkKind::roce_v2_ipv6};
  const GidEntry v1_ipv4{2, ipv4_gid(10, 0, 0, 1), LinkKind::roce_v1};
  const GidEntry v2_ipv4{3, ipv4_gid(10, 0, 0, 1), LinkKind::roce_v2_ipv4};
  const GidEntry v2_global{4, kGlobal, LinkKind::roce_v2_ipv6};
  const GidEntry v2_other{5, ipv4_gid(192, 168, 7, 9), LinkKind::roce_v2_ipv4};
  const GidEntry zero{6, Gid{}, LinkKind::roce_v2_ipv6};
  const Ipv4Network near{0xC0A80701, 0xFFFFFF00};  // 192.168.7.1/24
  EXPECT_EQ(chosen({}), -1);
  EXPECT_EQ(chosen({zero}), -1);
  EXPECT_EQ(chosen({v1_local}), 0);
  EXPECT_EQ(chosen({v1_local, v1_ipv4}), 0);
  EXPECT_EQ(chosen({v1_local, v2_local}), 1);
  EXPECT_EQ(chosen({v2_global, v2_local, v1_local}), 4);
  EXPECT_EQ(chosen({v2_global, v2_ipv4, v2_local}), 3);
  EXPECT_EQ(chosen({v2_other, v2_ipv4}), 3);
  EXPECT_EQ(chosen({v2_other, v2_ipv4}, near), 5);
  EXPECT_EQ(chosen({v2_global, v2_ipv4}, near), 3);
  EXPECT_EQ(chosen({zero, v1_local, v2_local, v1_ipv4, v2_ipv4, v2_global, v2_other}, near), 5);
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

// --- which devices talk to each other
// ------------------------------------------------------------------

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
  expect_has(verbs_available({}, host({down, bare, iwarp})).why_not,
             {"down0 port 1 is not active", "bare0 port 1 has no GID", "siw0 is iWARP"});
  // A usable one after them is found, on its second port too.
  FakeDevice good = roce_device();
  good.name = "good0";
  good.ports.insert(good.ports.begin(), down.ports[0]);
  EXPECT_TRUE(verbs_available({}, host({down, bare, iwarp, good})).yes);
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

// --- under hard limits
// -----------------------------------------------------------------------------------

/// `count` puts and signals of random kinds, and all of them must arrive.
void put_many(Pair& pair, std::uint64_t count, bool slow_receiver) {
  SharedMemory memory(64 << 10);
  SharedMemory source(64 << 10);
  auto target = pair.transports[1]->register_memory(memory.view());
  auto own = pair.transports[0]->register_memory(source.view());
  std::mt19937 random(7);
  std::uint64_t posted = 0;
  std::uint64_t refused = 0;
  const Nanoseconds start = steady_now();
  while (posted < count) {
    ASSERT_LT(steady_now() - start, conformance::kPatience);
    const std::size_t size = random() % 3 == 0 ? 0 : random() % 2 == 0 ? 16 : 20'000;
    const bool accepted = pair.ends[0]->put(static_cast<Lane>(posted % 2), source.slice(0, size),
                                            random() % 2 == 0 || size == 16 ? own.get() : nullptr,
                                            remote(memory.data(), *target));
    posted += accepted ? 1 : 0;
    refused += accepted ? 0 : 1;
    if (!accepted || random() % 5 == 0) pair.transports[0]->progress();
    // A slow receiver looks only now and then, while the sender goes on as far as it may.
    if (!slow_receiver || refused % 100 == 99) pair.transports[1]->progress();
    if (slow_receiver && !accepted) ++refused;
  }
  EXPECT_TRUE(pair.until([&] {
    return pair.ends[1]->arrived(0) + pair.ends[1]->arrived(1) == count && pair.ends[0]->flushed();
  }));
  expect_clean(pair.network->book());
}

TEST(VerbsLimits, SendQueueOfSixteenTakesAHundredThousandPuts) {
  VerbsOptions options;
  options.send_depth = 16;
  Pair pair(options, roce_device(0), roce_device(1), 2);
  pair.link();
  put_many(pair, 100'000, false);
}

TEST(VerbsLimits, SlowReceiverNeverMissesAReceive) {
  VerbsOptions options;
  options.receive_depth = 16;
  Pair pair(options);
  pair.link();
  put_many(pair, 20'000, true);
}

TEST(VerbsLimits, TinyCompletionQueueDoesNotOverflow) {
  FakeDevice tiny = roce_device(1);
  tiny.max_cqe = 100;
  Pair pair({}, roce_device(0), tiny);
  pair.link();
  put_many(pair, 20'000, true);
  tiny.max_cqe = 20;
  Pair too_tiny({}, roce_device(0), tiny);
  expect_has(too_tiny.link_error(), {"fake0 port 1", "20 completions"});
}

TEST(VerbsLimits, ReceivesArePostedInBatches) {
  Pair pair({});
  pair.link();
  put_many(pair, 50'000, false);
  const FakeNetwork::Book book = pair.network->book();
  EXPECT_GE(book.receives_posted, 40'000u);
  EXPECT_LE(book.receive_calls, book.receives_posted / 8);
}

TEST(VerbsLimits, FewRequestsAskForACompletion) {
  Pair pair({});
  pair.link();
  for (int i = 0; i < 10'000;) {
    if (pair.ends[0]->signal(0)) ++i;
    pair.transports[0]->progress();
    pair.transports[1]->progress();
  }
  EXPECT_LE(pair.network->book().completions, 10'000u / 32);
}

TEST(VerbsLimits, InlineSizeIsFoundByTrial) {
  for (std::uint32_t limit : {0u, 40u, 96u, 101u, 512u}) {
    FakeDevice device = roce_device(0);
    device.max_inline = limit;
    Pair pair({}, device);
    pair.link();
    Bytes memory(4096);
    auto target = pair.transports[1]->register_memory({memory.data(), memory.size()});
    for (std::size_t size = 1; size <= 600; ++size) {
      const Bytes data = pattern(size, size);
      ASSERT_TRUE(pair.until(
          [&] { return pair.ends[0]->put(1, data, nullptr, remote(memory.data(), *target)); }));
      ASSERT_TRUE(pair.until([&] { return pair.ends[1]->arrived(1) == size; }));
      ASSERT_TRUE(same(ConstBytes(memory).first(size), data));
    }
    EXPECT_LE(pair.network->book().largest_inline, limit);
    EXPECT_GE(pair.network->book().largest_inline, std::min(limit, 96u) / 2);
  }
}

TEST(VerbsLimits, PutLongerThanTheWholeQueueGoesOutInPieces) {
  FakeDevice device = roce_device(0);
  device.ports[0].max_message = 5000;
  VerbsOptions options;
  options.send_depth = 16;
  Pair pair(options, device, roce_device(1), 2);
  pair.link();
  SharedMemory memory(1 << 20);
  auto target = pair.transports[1]->register_memory(memory.view());
  const Bytes data = pattern((1 << 20) - 3, 1);
  ASSERT_TRUE(pair.ends[0]->put(2, data, nullptr, remote(memory.data(), *target)));
  EXPECT_FALSE(pair.ends[0]->flushed());
  EXPECT_TRUE(pair.until([&] { return pair.ends[1]->arrived(2) == 1; }));
  EXPECT_TRUE(same(memory.slice(0, data.size()), data));
  EXPECT_TRUE(pair.until([&] { return pair.ends[0]->flushed(); }));
  expect_clean(pair.network->book());
}

// --- trouble
// -----------------------------------------------------------------------------------------

TEST(VerbsTrouble, StatusBecomesASentenceThatNamesEverything) {
  const std::pair<ibv_wc_status, const char*> cases[] = {
      {IBV_WC_RETRY_EXC_ERR, "does not answer"},
      {IBV_WC_RNR_RETRY_EXC_ERR, "no receive posted"},
      {IBV_WC_REM_ACCESS_ERR, "outside of the peer's registered memory"},
      {IBV_WC_LOC_PROT_ERR, "not covered by its registration"},
      {IBV_WC_FATAL_ERR, "the device failed"},
  };
  for (const auto& [status, cause] : cases) {
    Pair pair({});
    pair.link();
    pair.network->fail_next_request(status);
    ASSERT_TRUE(pair.ends[0]->signal(0));
    const std::string text = pair.error_at(0);
    expect_has(text, {"RDMA link to rank 1", "fake0 port 1", "RoCE v2 over IPv4", "queue pair",
                      "vendor code 66", cause});
    EXPECT_EQ(pair.error_at(0), text) << "the first reason stays";
  }
}

TEST(VerbsTrouble, PutOutsideIsExplainedOnBothSides) {
  Pair pair({});
  pair.link();
  Bytes memory(100);
  auto target = pair.transports[1]->register_memory({memory.data(), memory.size()});
  const Bytes data(50);
  ASSERT_TRUE(pair.ends[0]->put(0, data, nullptr, remote(memory.data(), *target, 51)));
  expect_has(pair.error_at(0), {"remote access error", "outside of the peer's registered memory"});
  expect_has(pair.error_at(1), {"RDMA link to rank 0", "the peer put outside"});
}

TEST(VerbsTrouble, DeviceThatFailsBreaksEveryLink) {
  Pair pair({});
  pair.link();
  pair.network->report(IBV_EVENT_PORT_ERR);  // may come back
  for (int i = 0; i < 500; ++i) pair.transports[0]->progress();
  EXPECT_TRUE(pair.ends[0]->signal(0));
  pair.network->report(IBV_EVENT_DEVICE_FATAL);
  expect_has(pair.error_at(0), {"device reports that it has failed"});
  expect_has(pair.error_at(1), {"device reports that it has failed"});
}

TEST(VerbsTrouble, PeerThatIsGoneIsNamedAndNotBlamedOnTheDevice) {
  Pair pair({}, roce_device(0), roce_device(1), 2);
  pair.link();
  pair.ends[1].reset();
  expect_has(pair.error_at(0), {"rank 1", "closed its RDMA link or died"});
}

TEST(VerbsTrouble, AThousandLinksLeaveNothingBehind) {
  auto network = std::shared_ptr<FakeNetwork>();
  {
    Pair pair({.message_slots = 16});
    network = pair.network;
    const std::size_t before = conformance::open_descriptors();
    const auto objects = network->book().live_objects;
    for (int i = 0; i < 1000; ++i) {
      pair.link();
      ASSERT_TRUE(pair.ends[i % 2]->signal(0));
      pair.ends[i % 2].reset();
      pair.ends[1 - i % 2].reset();
    }
    EXPECT_EQ(conformance::open_descriptors(), before);
    EXPECT_EQ(network->book().live_objects, objects);
  }
  EXPECT_EQ(network->book().live_objects, 0);
  EXPECT_EQ(network->book().teardown_errors, 0u);
}

TEST(VerbsOptionsCheck, ValuesOutOfRangeAreRefused) {
  auto api = std::make_shared<FakeVerbs>(std::make_shared<FakeNetwork>(),
                                         std::vector<FakeDevice>{roce_device()});
  for (const VerbsOptions& wrong :
       {VerbsOptions{.send_depth = 3}, VerbsOptions{.receive_depth = 15},
        VerbsOptions{.receive_depth = 8192}, VerbsOptions{.message_slots = 15},
        VerbsOptions{.message_slots = 5000}, VerbsOptions{.timeout = 32},
        VerbsOptions{.retry_count = 8}}) {
    EXPECT_THROW((void)make_verbs_transport(wrong, api), Error);
  }
}

}  // namespace
}  // namespace paceline::transport
