// What only the shared-memory wire does: descriptors, seals, dead processes. The contract itself is
// tested in shm_conformance.
#include <signal.h>
#include <sys/wait.h>

#include "transport/shm_support.h"
#include "transport_shm/inbox.h"
#include "transport_shm/mapping.h"
#include "transport_shm/peer_regions.h"

namespace paceline::transport {
namespace {

using conformance::fill;
using conformance::pattern;
using conformance::remote;
using conformance::same;
using conformance::SharedMemory;
using shm::FrameType;
using shm::Inbox;

// --- who can be reached --------------------------------------------------------------------------

TEST(ShmTransport, OtherHostIdIsNotReachableAndSaysBoth) {
  auto here = make_shm_transport({.host_id = "alpha"});
  auto there = make_shm_transport({.host_id = "beta"});
  const Reachable answer = here->reachable(there->describe());
  EXPECT_FALSE(answer.yes);
  EXPECT_EQ(answer.why_not, "rank is on another host (host id beta, here alpha)");
  EXPECT_FALSE(there->reachable(here->describe()).yes);
}

TEST(ShmTransport, HostIdHasBounds) {
  EXPECT_THROW((void)make_shm_transport({.host_id = ""}), Error);
  EXPECT_THROW((void)make_shm_transport({.host_id = std::string(257, 'x')}), Error);
  EXPECT_LE(make_shm_transport({.host_id = std::string(256, 'x')})->describe().size(), 512u);
}

TEST(ShmTransport, SocketThatCannotPassDescriptorsIsRefused) {
  auto transport = make_shm_transport({.host_id = "here"});
  auto [dialed, accepted] = conformance::stream_pairs({SocketNeed::Family::inet, 1});
  EXPECT_THROW((void)transport->connect(1, Role::dialer, std::move(dialed)), Error);
}

// --- the mailbox ---------------------------------------------------------------------------------

TEST(ShmMailbox, ShortMessageLiesInTheLineOfItsStamp) {
  EXPECT_EQ(sizeof(std::uint64_t) + shm::kShortMessage, kCacheLine);
  EXPECT_EQ(offsetof(Inbox, slots) % kLinePair, 0u);
  EXPECT_EQ(offsetof(Inbox, lanes) % kLinePair, 0u);
  EXPECT_EQ(sizeof(Inbox::Counter), kLinePair);
  EXPECT_LE(sizeof(Inbox), 72u << 10) << "documented as about 70 KiB";
}

TEST(ShmMailbox, LongPayloadBeginsWithALine) {
  auto inbox = std::make_unique<Inbox>();
  shm::MailboxSender sender(*inbox);
  shm::MailboxReceiver receiver(*inbox);
  const auto begins_a_line = [](const std::byte* data) {
    return reinterpret_cast<std::uintptr_t>(data) % kCacheLine == 0;
  };
  bool apart = false;  // both ways in turn
  for (const std::size_t header : {0U, 8U, 13U, 32U, 56U, 64U, 88U}) {
    for (const std::size_t payload : {0U, 1U, 24U, 25U, 100U, 4000U, 4001U}) {
      if (header + payload == 0) continue;
      apart = !apart;
      const Bytes first = pattern(header, 1);
      const Bytes second = pattern(payload, 2);
      ASSERT_TRUE(sender.send(first, second, apart));
      const ConstBytes message = receiver.front();
      ASSERT_EQ(message.size(), header + payload);
      EXPECT_TRUE(same(message.first(header), first)) << header << " and " << payload;
      EXPECT_TRUE(same(message.subspan(header), second)) << header << " and " << payload;
      if (header % 8 == 0 && header + payload > shm::kShortMessage &&
          header <= shm::kShortMessage) {
        EXPECT_TRUE(begins_a_line(message.data() + header)) << header << " and " << payload;
      }
      receiver.pop();
    }
  }
}

/// Both ends in one mapping, so that a race detector sees both.
TEST(ShmMailbox, TwoThreadsOverOneRing) {
  constexpr std::uint64_t kMessages = 20'000;
  auto inbox = std::make_unique<Inbox>();
  std::thread sender([&] {
    shm::MailboxSender mailbox(*inbox);
    for (std::uint64_t i = 0; i < kMessages; ++i) {
      const Bytes message = pattern(1 + i % 200, i);
      while (!mailbox.send({}, message)) std::this_thread::yield();
    }
  });
  shm::MailboxReceiver mailbox(*inbox);
  for (std::uint64_t i = 0; i < kMessages; ++i) {
    while (mailbox.front().empty()) std::this_thread::yield();
    EXPECT_TRUE(same(mailbox.front(), pattern(1 + i % 200, i))) << i;
    mailbox.pop();
  }
  sender.join();
}

TEST(ShmMailbox, WildConsumedCounterNeverOverwrites) {
  auto inbox = std::make_unique<Inbox>();
  shm::MailboxSender sender(*inbox);
  shm::MailboxReceiver receiver(*inbox);
  for (std::uint64_t i = 0; i < shm::kSlots; ++i) ASSERT_TRUE(sender.send({}, pattern(8, i)));
  for (std::uint64_t wild : {~std::uint64_t{0}, std::uint64_t{1} << 60, std::uint64_t{1000}}) {
    inbox->receiver.consumed.store(wild);
    EXPECT_FALSE(sender.send({}, pattern(8, 99)));
  }
  EXPECT_TRUE(same(receiver.front(), pattern(8, 0)));
  receiver.pop();  // stores a true value again
  EXPECT_TRUE(sender.send({}, pattern(8, shm::kSlots)));
  EXPECT_FALSE(sender.send({}, pattern(8, 99)));
}

// --- files ---------------------------------------------------------------------------------------

TEST(ShmMapping, SealedFileCannotBeCutOrGrown) {
  UniqueFd file = shm::make_sealed_file("test", 8192);
  EXPECT_TRUE(shm::is_sealed_file(file.get(), 8192));
  EXPECT_FALSE(shm::is_sealed_file(file.get(), 4096));
  EXPECT_NE(::ftruncate(file.get(), 0), 0);
  EXPECT_NE(::ftruncate(file.get(), 16384), 0);
  UniqueFd plain(::memfd_create("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(plain.get(), 8192), 0);
  EXPECT_FALSE(shm::is_sealed_file(plain.get(), 8192));
}

TEST(ShmMapping, OnlyRegularFilesThatAreLongEnoughAreMapped) {
  UniqueFd file = shm::make_sealed_file("test", 4096);
  EXPECT_THROW((void)shm::map_file(file.get(), 8192, shm::Populate::no), Error);
  EXPECT_THROW((void)shm::map_file(file.get(), 0, shm::Populate::no), Error);
  EXPECT_THROW((void)shm::map_file(-1, 4096, shm::Populate::no), Error);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd read(ends[0]);
  UniqueFd write(ends[1]);
  EXPECT_THROW((void)shm::map_file(read.get(), 4096, shm::Populate::no), Error);
}

TEST(ShmRegions, PointerIntoARegionThatHasGoneReadsZeroesAndNothingElse) {
  SharedMemory memory(4096);
  fill(memory.all(), 1);
  shm::PeerRegions regions;
  regions.add({FrameType::region, 5, 0x10000, 4096}, memory.view().shareable_fd);
  ASSERT_NE(regions.find(5), nullptr);
  std::byte* held = regions.find(5)->at(0x10000, 4096);
  EXPECT_TRUE(same({held, 4096}, memory.all()));
  regions.remove(5);
  EXPECT_EQ(regions.find(5), nullptr);
  EXPECT_TRUE(same({held, 4096}, Bytes(4096)));
  std::memset(held, 0x77, 4096);
  EXPECT_TRUE(same(memory.all(), pattern(4096, 1)));
  EXPECT_THROW(regions.add({FrameType::region, 5, 0x10000, 4096}, memory.view().shareable_fd),
               Error);
  EXPECT_EQ(regions.highest(), 5u);
}

TEST(ShmRegions, SlicesAreChecked) {
  SharedMemory memory(4096);
  shm::PeerRegions regions;
  regions.add({FrameType::region, 1, 0x10000, 4000}, memory.view().shareable_fd);
  const auto* region = regions.find(1);
  EXPECT_EQ(region->at(0x10000 + 4000, 0), region->mapping.data() + 4000);
  EXPECT_NE(region->at(0x10000, 4000), nullptr);
  EXPECT_EQ(region->at(0x10000, 4001), nullptr);
  EXPECT_EQ(region->at(0x10000 - 1, 1), nullptr);
  EXPECT_EQ(region->at(0x10000 + 8, ~std::size_t{0} - 4), nullptr);
  EXPECT_EQ(region->at(~std::uint64_t{0}, 2), nullptr);
}

// --- dead processes ------------------------------------------------------------------------------

/// Runs `body` in a child process over one end of a link; ends with _exit.
template <class Body>
pid_t in_child(std::vector<UniqueFd>& socket, std::vector<UniqueFd>& other, Body body) {
  const pid_t child = ::fork();
  if (child != 0) {
    socket.clear();
    return child;
  }
  other.clear();
  auto transport = make_shm_transport({.host_id = "here"});
  auto connector = transport->connect(0, Role::listener, std::move(socket));
  std::unique_ptr<Endpoint> endpoint;
  const bool linked = until(*transport, [&] { return (endpoint = connector->poll()) != nullptr; });
  if (linked) body(*transport, *endpoint);
  ::_exit(3);
}

TEST(ShmProcess, KilledPeerIsNoticedAndWhatItSentIsStillThere) {
  auto [dialed, accepted] = conformance::stream_pairs(kLocal);
  const pid_t child = in_child(accepted, dialed, [](Transport& transport, Endpoint& endpoint) {
    (void)endpoint.send(pattern(100, 1), {});
    (void)endpoint.signal(3);
    for (;;) {
      transport.progress();
      ::usleep(1000);
    }
  });
  auto transport = make_shm_transport({.host_id = "here"});
  auto connector = transport->connect(1, Role::dialer, std::move(dialed));
  std::unique_ptr<Endpoint> endpoint;
  ASSERT_TRUE(until(*transport, [&] { return (endpoint = connector->poll()) != nullptr; }));
  ASSERT_TRUE(until(*transport, [&] { return endpoint->arrived(3) == 1; }));

  ASSERT_EQ(::kill(child, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  const Nanoseconds died = steady_now();
  EXPECT_TRUE(same(endpoint->front(), pattern(100, 1)));
  endpoint->pop();
  try {
    (void)until(*transport, [&] { return !endpoint->front().empty(); });
    ADD_FAILURE() << "not noticed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::peer_failed);
    EXPECT_EQ(error.peer(), 1);
    EXPECT_TRUE(contains(error.what(), "rank 1")) << error.what();
  }
  EXPECT_LT(steady_now() - died, 5 * kSecond);  // 10 ms by design; the rest is a busy machine
  EXPECT_EQ(endpoint->arrived(3), 1u);
}

TEST(ShmProcess, SleeperIsWokenByAPeersDeath) {
  auto [dialed, accepted] = conformance::stream_pairs(kLocal);
  const pid_t child = in_child(accepted, dialed, [](Transport&, Endpoint&) { ::pause(); });
  auto transport = make_shm_transport({.host_id = "here"});
  auto connector = transport->connect(1, Role::dialer, std::move(dialed));
  std::unique_ptr<Endpoint> endpoint;
  ASSERT_TRUE(until(*transport, [&] { return (endpoint = connector->poll()) != nullptr; }));
  std::vector<pollfd> descriptors;
  ASSERT_TRUE(transport->prepare_sleep(descriptors));
  ASSERT_EQ(descriptors.size(), 1u);
  EXPECT_EQ(::poll(descriptors.data(), 1, 0), 0);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  EXPECT_EQ(::poll(descriptors.data(), 1, 10'000), 1);
  transport->progress();  // the first one after a sleep looks
  EXPECT_THROW((void)endpoint->front(), Error);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
}

TEST(ShmProcess, MemoryOfAnotherProcessIsReadPutIntoAndMapped) {
  auto [dialed, accepted] = conformance::stream_pairs(kLocal);
  const pid_t child = in_child(accepted, dialed, [](Transport& transport, Endpoint& endpoint) {
    SharedMemory shared(100'000);
    Bytes plain = pattern(50'000, 8);
    auto registration = transport.register_memory(shared.view());
    const RemoteAddress target = remote(shared.data(), *registration);
    const bool told = endpoint.send(WireWriter()
                                        .u64(target.address)
                                        .u64(target.key)
                                        .u64(reinterpret_cast<std::uint64_t>(plain.data()))
                                        .bytes(),
                                    {});
    const bool good = told && until(transport, [&] { return endpoint.arrived(0) == 1; }) &&
                      same(shared.all(), pattern(100'000, 4));
    fill(shared.all(), 5);
    (void)endpoint.signal(1);
    (void)until(transport, [&] { return endpoint.arrived(0) == 2; });
    ::_exit(good ? 0 : 1);
  });
  auto transport = make_shm_transport({.host_id = "here"});
  auto connector = transport->connect(1, Role::dialer, std::move(dialed));
  std::unique_ptr<Endpoint> endpoint;
  ASSERT_TRUE(until(*transport, [&] { return (endpoint = connector->poll()) != nullptr; }));
  ASSERT_TRUE(until(*transport, [&] { return !endpoint->front().empty(); }));
  WireReader reader(endpoint->front());
  const RemoteAddress target{reader.u64(), reader.u64()};
  const RemoteAddress plain{reader.u64(), kNoKey};
  endpoint->pop();
  EXPECT_TRUE(endpoint->put(0, pattern(100'000, 4), nullptr, target));
  ASSERT_TRUE(until(*transport, [&] { return endpoint->arrived(1) == 1; }));
  std::byte* mapped = endpoint->map(target, 100'000);
  ASSERT_NE(mapped, nullptr);
  EXPECT_TRUE(same({mapped, 100'000}, pattern(100'000, 5)));
  if (endpoint->can_get()) {  // where the system forbids it, it says so and get() declines
    Bytes into(50'000);
    EXPECT_TRUE(endpoint->get(into, plain));
    EXPECT_TRUE(same(into, pattern(50'000, 8)));
  } else {
    Bytes into(1);
    EXPECT_FALSE(endpoint->get(into, plain));
  }
  EXPECT_TRUE(endpoint->signal(0));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(ShmTransport, GetOfMemoryThatIsNotThereIsAnError) {
  conformance::Fabric fabric({"shm", [] {
                                struct Shm final : conformance::World {
                                  std::unique_ptr<Transport> make_transport(int) override {
                                    return make_shm_transport({.host_id = "here"});
                                  }
                                };
                                return std::make_unique<Shm>();
                              }});
  void* hole = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(hole, MAP_FAILED);
  Bytes into(100);
  const RemoteAddress nowhere{reinterpret_cast<std::uint64_t>(hole), kNoKey};
  Endpoint& endpoint = fabric.endpoint(0, 1);
  if (endpoint.can_get()) {
    EXPECT_TRUE(contains(error_of([&] { (void)endpoint.get(into, nowhere); }), "Bad address"));
  } else {  // the system forbids process_vm_readv
    EXPECT_FALSE(endpoint.get(into, nowhere));
  }
  ::munmap(hole, 4096);
}

}  // namespace
}  // namespace paceline::transport
