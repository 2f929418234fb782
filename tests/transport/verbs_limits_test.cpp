// The RDMA wire on devices with hardly any resources, and on devices that fail.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <new>
#include <random>

#include "base/unique_fd.h"
#include "transport/verbs_pair.h"

namespace paceline::transport::verbs {
namespace {

// --- under hard limits ---

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

TEST(VerbsLimits, CompletionQueueHoldsWhatASlowReceiverHasNotSeen) {
  Pair pair({.send_depth = 16});
  pair.link();
  put_many(pair, 20'000, true);
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

#if !defined(__SANITIZE_THREAD__)  // which keeps four bytes for each of these

/// 4 GiB and a byte that hold hardly any memory: the same 2 MiB again and again.
class Repeated {
 public:
  static constexpr std::size_t kLength = (std::size_t{4} << 30) + 1;
  static constexpr std::size_t kPiece = std::size_t{2} << 20;

  Repeated() : file_(::memfd_create("repeated", MFD_CLOEXEC)) {
    void* all = MAP_FAILED;
    if (::ftruncate(file_.get(), kPiece) == 0) {
      all =
          ::mmap(nullptr, kReserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    if (all == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(all);
    for (std::size_t at = 0; at < kReserved; at += kPiece) {
      if (::mmap(data_ + at, kPiece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_.get(),
                 0) == MAP_FAILED) {
        throw std::bad_alloc();
      }
    }
  }
  Repeated(const Repeated&) = delete;
  Repeated& operator=(const Repeated&) = delete;
  ~Repeated() { ::munmap(data_, kReserved); }
  [[nodiscard]] std::byte* data() const { return data_; }

 private:
  static constexpr std::size_t kReserved = kLength - 1 + kPiece;
  UniqueFd file_;
  std::byte* data_ = nullptr;
};

TEST(VerbsLimits, PutOfMoreThanFourGibibytesIsWhole) {
  const Repeated source;
  const Repeated memory;
  const Bytes data = pattern(Repeated::kPiece, 1);
  std::memcpy(source.data(), data.data(), data.size());
  Pair pair({});
  pair.link();
  auto own = pair.transports[0]->register_memory({source.data(), Repeated::kLength});
  auto target = pair.transports[1]->register_memory({memory.data(), Repeated::kLength});
  const std::uint64_t before = pair.network->book().bytes_written;
  ASSERT_TRUE(pair.ends[0]->put(0, {source.data(), Repeated::kLength}, own.get(),
                                remote(memory.data(), *target)));
  EXPECT_TRUE(pair.until([&] { return pair.ends[1]->arrived(0) == 1 && pair.ends[0]->flushed(); }));
  EXPECT_EQ(pair.network->book().bytes_written - before, Repeated::kLength);
  EXPECT_TRUE(same({memory.data(), data.size()}, data));
}

#endif

// --- trouble ---

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
}  // namespace paceline::transport::verbs
