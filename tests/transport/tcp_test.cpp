// What only the TCP wire does: its frames, their order over several links, and peers that send
// what no rank would.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "transport/fabric.h"
#include "transport_tcp/endpoint.h"
#include "transport_tcp/frame.h"
#include "transport_tcp/lane_window.h"
#include "transport_tcp/registration_table.h"
#include "transport_tcp/tcp_transport.h"

namespace paceline::transport::tcp {
namespace {

using conformance::kPatience;
using conformance::pattern;
using conformance::remote;
using conformance::same;

std::unique_ptr<Transport> with_links(int links) {
  return make_tcp_transport({.links = links});
}

/// An endpoint whose peer, rank 7, is the test itself with bare sockets.
class Bare {
 public:
  explicit Bare(int links = 2, SocketNeed::Family family = SocketNeed::Family::local)
      : transport(with_links(links)) {
    auto [ours, theirs] = conformance::stream_pairs({.family = family, .count = links});
    peer = std::move(theirs);
    auto connector = transport->connect(7, Role::dialer, std::move(ours));
    EXPECT_EQ(connector->poll(), nullptr) << "nobody has greeted yet";
    for (std::size_t i = 0; i < peer.size(); ++i) {
      write(i, encode(Hello{.links = static_cast<std::uint8_t>(links),
                            .index = static_cast<std::uint8_t>(i)}));
      Bytes greeting(kHelloBytes);
      pollfd coming{peer[i].get(), POLLIN, 0};
      EXPECT_EQ(::poll(&coming, 1, static_cast<int>(kPatience / kMillisecond)), 1);
      EXPECT_EQ(::recv(peer[i].get(), greeting.data(), kHelloBytes, 0), ssize_t{kHelloBytes});
    }
    (void)until([&] { return (endpoint = connector->poll()) != nullptr; });
    if (!endpoint) throw std::runtime_error("the endpoint was not made");
  }

  /// False if the endpoint has hung up.
  bool write(std::size_t link, ConstBytes bytes) {
    while (!bytes.empty()) {
      const ssize_t n =
          ::send(peer[link].get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno != EAGAIN) return false;
      if (n > 0) bytes = bytes.subspan(static_cast<std::size_t>(n));
      transport->progress();
    }
    return true;
  }
  bool write(std::size_t link, const Frame& frame, ConstBytes payload = {}) {
    return write(link, encode(frame)) && write(link, payload);
  }
  void signal(std::size_t link, std::uint64_t sequence, std::uint8_t pieces = 1) {
    write(link, Frame{.pieces = pieces, .sequence = sequence});
  }
  void step() {
    for (int i = 0; i < 20; ++i) transport->progress();
  }
  /// What was written to an inet socket need not be there yet. False if it does not come.
  bool until(const std::function<bool()>& condition) {
    const Nanoseconds start = steady_now();
    while (!condition()) {
      if (steady_now() - start > kPatience) return false;
      transport->progress();
    }
    return true;
  }
  /// The Error that the endpoint ends with, which must name rank 7.
  Error end() {
    const Nanoseconds start = steady_now();
    try {
      while (steady_now() - start < kPatience) {
        transport->progress();
        while (!endpoint->front().empty()) endpoint->pop();
        std::this_thread::yield();
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.peer(), 7) << error.what();
      return error;
    }
    ADD_FAILURE() << "no error came";
    return {ErrorCode::internal, "none"};
  }

  std::unique_ptr<Transport> transport;
  std::vector<UniqueFd> peer;
  std::unique_ptr<Endpoint> endpoint;
};

bool says(const Error& error, const std::string& what) {
  return std::string(error.what()).find(what) != std::string::npos;
}

// --- parts ---------------------------------------------------------------------------------------

TEST(TcpFrame, SurvivesTheWire) {
  const Frame frame{.type = FrameType::put,
                    .lane = kMaxLanes - 1,
                    .pieces = 255,
                    .length = 0x12345678,
                    .sequence = 0x1122334455667788,
                    .address = 0x99AABBCCDDEEFF00,
                    .key = 0x0123456789ABCDEF};
  const FrameImage image = encode(frame);
  EXPECT_EQ(image[4], std::byte{0x12}) << "network order";
  EXPECT_EQ(image[31], std::byte{0xEF});
  const Frame back = decode(image);
  EXPECT_EQ(back.type, frame.type);
  EXPECT_EQ(back.lane, frame.lane);
  EXPECT_EQ(back.pieces, frame.pieces);
  EXPECT_EQ(back.length, frame.length);
  EXPECT_EQ(back.sequence, frame.sequence);
  EXPECT_EQ(back.address, frame.address);
  EXPECT_EQ(back.key, frame.key);
}

TEST(TcpFrame, WhatNoRankWritesIsRejected) {
  const auto rejected = [](const Frame& frame) {
    EXPECT_THROW((void)decode(encode(frame)), Error);
  };
  rejected({.type = static_cast<FrameType>(0), .pieces = 1});
  rejected({.type = static_cast<FrameType>(5), .pieces = 1});
  rejected({.type = FrameType::put, .lane = kMaxLanes, .pieces = 1});
  rejected({.type = FrameType::put, .pieces = 0});
  rejected({.type = FrameType::put, .pieces = 1, .length = (1u << 30) + 1});
  rejected({.type = FrameType::put, .pieces = 2});                // a signal in two pieces
  rejected({.type = FrameType::put, .pieces = 1, .address = 1});  // a signal with a target
  rejected({.type = FrameType::put, .pieces = 1, .key = 1});
  rejected({.type = FrameType::message, .length = 0});
  rejected({.type = FrameType::message, .length = kLongestMessage + 1});
  rejected({.type = FrameType::message, .lane = 1, .length = 1});
  rejected({.type = FrameType::credit, .length = 1});
  rejected({.type = FrameType::credit, .key = 1});
  rejected({.type = FrameType::refuse, .pieces = 1});
  FrameImage wrong = encode(Frame{.pieces = 1});
  wrong[0] = std::byte{0};
  EXPECT_THROW((void)decode(wrong), Error);
}

TEST(TcpRegistrationTable, FindsOnlyWhatIsWhollyInside) {
  RegistrationTable table;
  std::array<std::byte, 100> memory;
  const std::uint64_t key = table.add(memory.data(), memory.size());
  const auto base = reinterpret_cast<std::uint64_t>(memory.data());
  EXPECT_NE(key, kNoKey);
  EXPECT_EQ(table.find(key, base, 100), memory.data());
  EXPECT_EQ(table.find(key, base + 99, 1), memory.data() + 99);
  EXPECT_EQ(table.find(key, base + 100, 1), nullptr);
  EXPECT_EQ(table.find(key, base + 1, 100), nullptr);
  EXPECT_EQ(table.find(key, base - 1, 2), nullptr);
  EXPECT_EQ(table.find(key, base + 50, ~std::size_t{0}), nullptr);
  EXPECT_EQ(table.find(key, ~std::uint64_t{0}, 2), nullptr);
  EXPECT_EQ(table.find(key + 1, base, 1), nullptr);
  EXPECT_EQ(table.find(kNoKey, base, 1), nullptr);
  table.remove(key);
  EXPECT_EQ(table.find(key, base, 1), nullptr);
  const std::uint64_t again = table.add(memory.data(), memory.size());
  EXPECT_NE(again, key) << "a key does not come again";
  EXPECT_EQ(table.find(key, base, 1), nullptr);
  EXPECT_EQ(table.find(again, base, 1), memory.data());
}

TEST(TcpLaneWindow, CountsTheGaplessPrefixWhateverTheOrder) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    std::vector<Frame> pieces;
    std::vector<int> left;
    for (std::uint64_t put = 0; put < 500; ++put) {
      const auto count = static_cast<std::uint8_t>(1 + random() % 4);
      left.push_back(count);
      for (int i = 0; i < count; ++i) pieces.push_back({.pieces = count, .sequence = put});
    }
    std::shuffle(pieces.begin(), pieces.end(), random);
    LaneWindow window;
    for (const Frame& piece : pieces) {
      ASSERT_EQ(window.judge(piece), LaneWindow::Verdict::fits);
      ASSERT_TRUE(window.complete(piece));
      --left[piece.sequence];
      const auto gap = std::find_if(left.begin(), left.end(), [](int n) { return n > 0; });
      ASSERT_EQ(window.arrived(), static_cast<std::uint64_t>(gap - left.begin()));
    }
  }
}

TEST(TcpLaneWindow, KnowsWhatIsEarlyAndWhatIsWrong) {
  LaneWindow window;
  const auto verdict = [&](std::uint64_t sequence, std::uint8_t pieces) {
    return window.judge({.pieces = pieces, .sequence = sequence});
  };
  ASSERT_TRUE(window.complete({.pieces = 1, .sequence = 0}));
  EXPECT_EQ(verdict(0, 1), LaneWindow::Verdict::wrong) << "twice";
  EXPECT_EQ(verdict(LaneWindow::kAhead, 1), LaneWindow::Verdict::fits);
  EXPECT_EQ(verdict(LaneWindow::kAhead + 1, 1), LaneWindow::Verdict::early);
  EXPECT_EQ(verdict(LaneWindow::kAbsurd + 1, 1), LaneWindow::Verdict::wrong);
  ASSERT_TRUE(window.complete({.pieces = 2, .sequence = 5}));
  EXPECT_EQ(verdict(5, 3), LaneWindow::Verdict::wrong) << "another number of pieces";
  ASSERT_TRUE(window.complete({.pieces = 2, .sequence = 5}));
  EXPECT_FALSE(window.complete({.pieces = 2, .sequence = 5})) << "a piece too many";
}

// --- making the link -----------------------------------------------------------------------------

TEST(TcpConnect, NumberOfLinksIsChecked) {
  EXPECT_THROW((void)with_links(0), Error);
  EXPECT_THROW((void)with_links(9), Error);
  EXPECT_THROW((void)with_links(2)->connect(1, Role::dialer, {}), Error);
  const Reachable different = with_links(2)->reachable(with_links(3)->describe());
  EXPECT_FALSE(different.yes);
  EXPECT_NE(different.why_not.find("PACELINE_TCP_LINKS"), std::string::npos);
}

TEST(TcpConnect, SwappedSocketsAreNoticed) {
  auto a = with_links(2);
  auto b = with_links(2);
  auto [ours, theirs] = conformance::stream_pairs({.count = 2});
  std::swap(theirs[0], theirs[1]);
  auto dialer = a->connect(1, Role::dialer, std::move(ours));
  auto listener = b->connect(0, Role::listener, std::move(theirs));
  const auto poll_both = [&] {
    for (const Nanoseconds start = steady_now(); steady_now() - start < kPatience;) {
      (void)dialer->poll();
      (void)listener->poll();
    }
  };
  EXPECT_THROW(poll_both(), Error);
}

TEST(TcpConnect, AnotherGreetingIsAnError) {
  const auto greeted_with = [](ConstBytes greeting) {
    auto transport = with_links(1);
    auto [ours, theirs] =
        conformance::stream_pairs({.family = SocketNeed::Family::local, .count = 1});
    auto connector = transport->connect(7, Role::dialer, std::move(ours));
    EXPECT_EQ(::send(theirs[0].get(), greeting.data(), greeting.size(), 0),
              static_cast<ssize_t>(greeting.size()));
    theirs.clear();
    try {
      for (int i = 0; i < 10; ++i) (void)connector->poll();
    } catch (const Error& error) {
      EXPECT_EQ(error.peer(), 7);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(greeted_with(pattern(8, 1)).find("greeting"), std::string::npos);
  EXPECT_NE(greeted_with(encode(Hello{.version = 99, .links = 1})).find("version 99"),
            std::string::npos);
  EXPECT_NE(greeted_with(encode(Hello{.links = 2})).find("PACELINE_TCP_LINKS"), std::string::npos);
  EXPECT_NE(greeted_with(pattern(3, 1)).find("closed"), std::string::npos);
}

// --- order over several links

TEST(TcpLinks, CounterWaitsForThePieceOfAnotherLink) {
  Bare bare;
  Bytes memory(1000);
  auto registration = bare.transport->register_memory({memory.data(), memory.size(), -1});
  const RemoteAddress target = remote(memory.data(), *registration);
  const Bytes data = pattern(1000, 3);
  const Frame second{
      .pieces = 2, .length = 500, .address = target.address + 500, .key = target.key};
  bare.write(1, second, ConstBytes(data).subspan(500));
  bare.signal(1, 1);
  bare.step();
  EXPECT_EQ(bare.endpoint->arrived(0), 0u);
  Frame first = second;
  first.address = target.address;
  bare.write(0, encode(first));
  bare.write(0, ConstBytes(data).first(499));
  bare.step();
  EXPECT_EQ(bare.endpoint->arrived(0), 0u);
  bare.write(0, ConstBytes(data).subspan(499, 1));
  bare.step();
  EXPECT_EQ(bare.endpoint->arrived(0), 2u);
  EXPECT_TRUE(same(memory, data));
}

TEST(TcpLinks, LinkThatRunsFarAheadIsHeldAndGoesOn) {
  constexpr std::uint64_t kMany = LaneWindow::kAhead * 3;
  Bare bare(2, SocketNeed::Family::inet);
  Bytes stream;
  for (std::uint64_t i = 1; i <= kMany; ++i) {
    const FrameImage image = encode(Frame{.pieces = 1, .sequence = i});
    stream.insert(stream.end(), image.begin(), image.end());
  }
  ASSERT_TRUE(bare.write(0, stream));  // the kernel keeps what is not taken
  const auto nothing_new = [&] {
    bare.step();
    std::vector<pollfd> descriptors;
    return bare.transport->prepare_sleep(descriptors) &&
           ::poll(descriptors.data(), descriptors.size(), 0) == 0;
  };
  EXPECT_TRUE(bare.until(nothing_new)) << "a held link is no news";
  EXPECT_EQ(bare.endpoint->arrived(0), 0u);
  bare.signal(1, 0);
  EXPECT_TRUE(bare.until([&] { return bare.endpoint->arrived(0) == kMany + 1; }));
}

TEST(TcpLinks, StragglersArriveAfterAnotherLinkHasEnded) {
  Bare bare;
  bare.peer[1].reset();
  bare.step();
  EXPECT_THROW((void)bare.endpoint->signal(0), Error) << "it can no longer be answered";
  bare.signal(0, 0);
  bare.write(0, Frame{.type = FrameType::message, .length = 4}, pattern(4, 1));
  bare.step();
  EXPECT_EQ(bare.endpoint->arrived(0), 1u);
  EXPECT_TRUE(same(bare.endpoint->front(), pattern(4, 1)));
  // The other link stays open and silent: that is the end too, a little later.
  EXPECT_EQ(bare.end().code(), ErrorCode::peer_failed);
  EXPECT_EQ(bare.endpoint->arrived(0), 1u);
}

TEST(TcpLinks, LargePutsUseSeveralLinksAndSmallOnesOne) {
  Bare bare(4);
  Bytes scrap(1 << 20);
  // Bytes that came by each link, headers left out; -1 for none.
  const auto spread = [&](Lane lane, std::size_t bytes) {
    const Bytes data(bytes);
    EXPECT_TRUE(bare.endpoint->put(lane, data, nullptr, {1, 1}));
    std::vector<ssize_t> came(4, -1);
    // What the kernel has taken need not be there yet.
    for (std::size_t all = 0; all < bytes;) {
      bare.transport->progress();
      all = 0;
      for (std::size_t link = 0; link < 4; ++link) {
        const ssize_t n = ::recv(bare.peer[link].get(), scrap.data(), scrap.size(), MSG_DONTWAIT);
        if (n > 0) came[link] += came[link] < 0 ? 1 + n - ssize_t{kFrameBytes} : n;
        if (came[link] > 0) all += static_cast<std::size_t>(came[link]);
      }
    }
    EXPECT_TRUE(bare.endpoint->flushed());
    return came;
  };
  constexpr ssize_t k = kMinPiece;
  EXPECT_EQ(spread(1, 8), (std::vector<ssize_t>{-1, 8, -1, -1}));
  EXPECT_EQ(spread(6, 2 * kMinPiece - 1), (std::vector<ssize_t>{-1, -1, 2 * k - 1, -1}));
  EXPECT_EQ(spread(3, 2 * kMinPiece), (std::vector<ssize_t>{k, -1, -1, k}));
  EXPECT_EQ(spread(0, 4 * kMinPiece), (std::vector<ssize_t>{k, k, k, k}));
}

// --- congestion control

TEST(TcpCongestion, IsTheOneThatWasAskedFor) {
  const auto transport =
      make_tcp_transport({.links = 1, .congestion = "reno"});  // all kernels have it
  auto [dialed, accepted] = conformance::stream_pairs(transport->sockets());
  const int ours = dialed[0].get();
  const auto connector = transport->connect(1, Role::dialer, std::move(dialed));
  char name[16] = {};
  socklen_t length = sizeof name;
  ASSERT_EQ(::getsockopt(ours, IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
  EXPECT_STREQ(name, "reno");
}

TEST(TcpCongestion, ThatIsNotThereIsSaidBeforeAnyLink) {
  try {
    (void)make_tcp_transport({.links = 1, .congestion = "renault"});
    FAIL() << "no error came";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_configuration);
    EXPECT_TRUE(says(error, "\"renault\"")) << error.what();
    EXPECT_TRUE(says(error, "reno")) << error.what();
  }
}

// --- limits

TEST(TcpLimits, QueueIsBoundedAndDrains) {
  Bare bare(1);
  const Bytes data = pattern(200'000, 1);
  std::size_t posted = 0;
  while (bare.endpoint->put(0, data, nullptr, {1, 1})) ASSERT_LT(++posted, 10'000u);
  EXPECT_GT(posted, 10u);
  EXPECT_FALSE(bare.endpoint->flushed());
  std::vector<pollfd> descriptors;
  ASSERT_TRUE(bare.transport->prepare_sleep(descriptors));
  EXPECT_TRUE(
      std::ranges::any_of(descriptors, [](const pollfd& d) { return d.events == POLLOUT; }));
  // The peer reads: every frame is whole and in order.
  Bytes stream;
  Bytes part(1 << 20);
  const std::size_t total = posted * (kFrameBytes + data.size());
  while (stream.size() < total) {
    const ssize_t n = ::recv(bare.peer[0].get(), part.data(), part.size(), MSG_DONTWAIT);
    if (n > 0) stream.insert(stream.end(), part.begin(), part.begin() + n);
    bare.transport->progress();
  }
  EXPECT_TRUE(bare.endpoint->flushed());
  for (std::size_t i = 0; i < posted; ++i) {
    const ConstBytes frame = ConstBytes(stream).subspan(i * (kFrameBytes + data.size()));
    ASSERT_EQ(decode(frame.first<kFrameBytes>()).sequence, i);
    ASSERT_TRUE(same(frame.subspan(kFrameBytes, data.size()), data)) << i;
  }
}

TEST(TcpLimits, WhatNoMemoryOrLaneCanTakeIsAnArgumentError) {
  Bare bare;
  EXPECT_THROW((void)bare.endpoint->send({}, {}), Error);
  EXPECT_THROW((void)bare.endpoint->send(Bytes(kLongestMessage), Bytes(1)), Error);
  EXPECT_THROW((void)bare.endpoint->signal(kMaxLanes), Error);
  EXPECT_TRUE(bare.endpoint->signal(0)) << "the link is as good as before";
}

// --- peers that misbehave

TEST(TcpHostile, MailboxCannotBeOverrun) {
  Bare bare;
  for (std::uint64_t i = 0; i <= kMailbox; ++i) {
    bare.write(0, Frame{.type = FrameType::message, .length = 8, .sequence = i}, pattern(8, i));
  }
  bare.step();
  for (std::uint64_t i = 0; i < kMailbox; ++i) {
    ASSERT_TRUE(same(bare.endpoint->front(), pattern(8, i)));
    bare.endpoint->pop();
  }
  EXPECT_TRUE(says(bare.end(), "no room"));
}

TEST(TcpHostile, NorCanItByLength) {
  Bare bare;
  const Bytes longest = pattern(kLongestMessage, 3);
  constexpr std::uint64_t kRoom = kMailboxBytes / kLongestMessage;
  for (std::uint64_t i = 0; i <= kRoom; ++i) {
    bare.write(0, Frame{.type = FrameType::message, .length = kLongestMessage, .sequence = i},
               longest);
    bare.step();
  }
  for (std::uint64_t i = 0; i < kRoom; ++i) {
    ASSERT_TRUE(same(bare.endpoint->front(), longest));
    bare.endpoint->pop();
  }
  EXPECT_TRUE(says(bare.end(), "no room"));
}

TEST(TcpHostile, CreditsThatWereNotEarnedAreAnError) {
  Bare bare;
  ASSERT_TRUE(bare.endpoint->send(pattern(8, 1), {}));
  bare.write(0, Frame{.type = FrameType::credit, .sequence = 2});
  EXPECT_TRUE(says(bare.end(), "credit"));
}

TEST(TcpHostile, MessagesComeInOrderOnTheFirstLink) {
  Bare skipped;
  skipped.write(0, Frame{.type = FrameType::message, .length = 8, .sequence = 1}, pattern(8, 1));
  EXPECT_TRUE(says(skipped.end(), "out of order"));
  Bare elsewhere;
  elsewhere.write(1, Frame{.type = FrameType::message, .length = 8}, pattern(8, 1));
  EXPECT_TRUE(says(elsewhere.end(), "out of order"));
}

TEST(TcpHostile, RefusalSaysWhatWasRefused) {
  Bare bare;
  bare.write(0, Frame{.type = FrameType::refuse, .lane = 3, .address = 12345, .key = 9});
  const Error error = bare.end();
  EXPECT_TRUE(says(error, "refused")) << error.what();
  EXPECT_TRUE(says(error, "12345")) << error.what();
}

TEST(TcpHostile, DeregisteringHalfWayStopsTheWrite) {
  constexpr std::size_t kBytes = 300'000;
  Bare bare;
  Bytes memory(kBytes);
  auto registration = bare.transport->register_memory({memory.data(), kBytes, -1});
  const RemoteAddress target = remote(memory.data(), *registration);
  const Bytes data = pattern(kBytes, 5);
  bare.write(0, Frame{.pieces = 1, .length = kBytes, .address = target.address, .key = target.key});
  bare.write(0, ConstBytes(data).first(kBytes / 2));
  bare.step();
  EXPECT_TRUE(same(ConstBytes(memory).first(kBytes / 2), ConstBytes(data).first(kBytes / 2)));
  EXPECT_TRUE(same(ConstBytes(memory).subspan(kBytes / 2), Bytes(kBytes / 2)));

  registration.reset();
  std::fill(memory.begin(), memory.end(), std::byte{0x77});
  bare.write(0, ConstBytes(data).subspan(kBytes / 2));
  EXPECT_TRUE(says(bare.end(), "no memory is registered"));
  EXPECT_TRUE(same(memory, Bytes(kBytes, std::byte{0x77})));
  // The peer is told.
  FrameImage answer;
  ASSERT_EQ(::recv(bare.peer[0].get(), answer.data(), answer.size(), 0), ssize_t{kFrameBytes});
  EXPECT_EQ(decode(answer).type, FrameType::refuse);
}

TEST(TcpHostile, ResetInTheMiddleOfAFrameIsThePeersFailure) {
  Bare bare(2, SocketNeed::Family::inet);
  bare.write(0, Frame{.type = FrameType::message, .length = 4}, pattern(4, 1));
  bare.write(0, encode(Frame{.type = FrameType::message, .length = 4, .sequence = 1}));
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  for (UniqueFd& socket : bare.peer) {
    ASSERT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    socket.reset();
  }
  EXPECT_EQ(bare.end().code(), ErrorCode::peer_failed);
}

/// Frames that are nearly right, and bytes that are not at all.
Bytes hostile_stream(std::mt19937& random, const RemoteAddress& good, std::size_t size) {
  Bytes stream;
  const auto any = [&](std::uint64_t n) { return random() % n; };
  for (std::uint64_t i = 0, frames = 1 + any(30); i < frames; ++i) {
    Frame frame{.type = static_cast<FrameType>(1 + any(4)),
                .lane = static_cast<std::uint8_t>(any(3)),
                .pieces = 1,
                .length = static_cast<std::uint32_t>(any(size)),
                .sequence = i < 3 ? i : any(4),
                .address = good.address,
                .key = good.key};
    if (frame.type != FrameType::put && any(3) != 0) frame = {.type = frame.type, .length = 9};
    switch (any(6)) {
      case 0:
        frame.address += any(2 * size);
        break;
      case 1:
        frame.address = std::uint64_t{random()} << 32 | random();
        break;
      case 2:
        frame.length = static_cast<std::uint32_t>(random());
        break;
      case 3:
        frame.key ^= std::uint64_t{1} << any(64);
        break;
      default:
        break;
    }
    const FrameImage image = encode(frame);
    stream.insert(stream.end(), image.begin(), image.end());
    const Bytes payload = pattern(std::min<std::size_t>(frame.length, 2 * size), i);
    stream.insert(stream.end(), payload.begin(), payload.end());
  }
  if (any(3) == 0) stream[any(stream.size())] ^= std::byte{0x40};
  if (any(3) == 0) stream.resize(any(stream.size()));
  if (any(5) == 0) stream = pattern(1 + any(5000), any(1000));
  return stream;
}

TEST(TcpHostile, GarbageEndsInAnErrorAndWritesNothingOutside) {
  constexpr std::size_t kBytes = 4096;
  for (unsigned seed = 0; seed < 400; ++seed) {
    std::mt19937 random(seed);
    Bare bare;
    // On the heap, so that the address sanitizer sees one byte too many; and between guards.
    auto memory = std::make_unique<std::array<Bytes, 3>>();
    for (Bytes& part : *memory) part.assign(kBytes, std::byte{0xAA});
    auto registration = bare.transport->register_memory({(*memory)[1].data(), kBytes, -1});
    const Bytes stream = hostile_stream(random, remote((*memory)[1].data(), *registration), kBytes);
    for (ConstBytes rest = stream; !rest.empty();) {
      const std::size_t cut = std::min<std::size_t>(rest.size(), 1 + random() % 3000);
      if (!bare.write(random() % 8 == 0 ? 1 : 0, rest.first(cut))) break;
      rest = rest.subspan(cut);
    }
    bare.peer.clear();
    (void)bare.end();
    const Bytes untouched(kBytes, std::byte{0xAA});
    ASSERT_TRUE(same((*memory)[0], untouched) && same((*memory)[2], untouched)) << seed;
  }
}

// --- the end

TEST(TcpEnd, LastPutSurvivesWhatTheLeaverHasNotRead) {
  // A socket that is closed with unread input is reset, and its unsent bytes are lost: here the
  // leaver has both.
  constexpr std::size_t kBytes = 1 << 20;
  auto leaver = with_links(2);
  auto stayer = with_links(2);
  auto [ours, theirs] = conformance::stream_pairs({.count = 2});
  auto dialer = leaver->connect(1, Role::dialer, std::move(ours));
  auto listener = stayer->connect(0, Role::listener, std::move(theirs));
  std::unique_ptr<Endpoint> from;
  std::unique_ptr<Endpoint> to;
  while (!from || !to) {
    if (!from) from = dialer->poll();
    if (!to) to = listener->poll();
  }
  Bytes memory(kBytes);
  auto registration = stayer->register_memory({memory.data(), kBytes, -1});
  const Bytes data = pattern(kBytes, 8);
  ASSERT_TRUE(to->send(pattern(100, 1), {}));
  ASSERT_TRUE(from->put(0, data, nullptr, remote(memory.data(), *registration)));
  const Nanoseconds start = steady_now();
  while (!from->flushed() && steady_now() - start < kPatience) {
    leaver->progress();
    stayer->progress();
  }
  from.reset();
  while (to->arrived(0) == 0 && steady_now() - start < kPatience) {
    stayer->progress();
    leaver->progress();
  }
  EXPECT_EQ(to->arrived(0), 1u);
  EXPECT_TRUE(same(memory, data));
  const auto wait = [&] {
    while (steady_now() - start < kPatience) {
      stayer->progress();
      (void)to->front();
    }
  };
  EXPECT_THROW(wait(), Error);
}

TEST(TcpEnd, WhatIsDroppedIsNotCalledFlushed) {
  Bare bare(1);
  const Bytes data(200'000);
  while (bare.endpoint->put(0, data, nullptr, {1, 1})) {
  }
  bare.peer.clear();
  (void)bare.end();
  EXPECT_THROW((void)bare.endpoint->flushed(), Error);
  Bare idle(1);
  idle.peer.clear();
  (void)idle.end();
  EXPECT_TRUE(idle.endpoint->flushed()) << "nothing was lost";
}

}  // namespace
}  // namespace paceline::transport::tcp
