// The parts of the RDMA wire that are arithmetic: immediates, flow control, what travels, GIDs.
#include <array>
#include <cstring>
#include <deque>
#include <random>

#include "transport/verbs_pair.h"
#include "transport_verbs/flow.h"
#include "transport_verbs/immediate.h"
#include "transport_verbs/qp_info.h"

namespace paceline::transport::verbs {
namespace {

// --- arithmetic ---

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
      // Two at a time fit again as soon as all that asked for it has completed.
      if (depth >= 4 && i % 5 == 0 && !queue.has_room(2)) {
        ASSERT_GT(last_signalled, queue.done()) << "depth " << depth;
        ASSERT_TRUE(queue.complete(last_signalled));
        ASSERT_TRUE(queue.has_room(2)) << "depth " << depth;
      }
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
  info.notify_ways = 3;
  info.connect = IbConnect::cm;
  info.cm_address = ipv4_gid(10, 1, 2, 4);
  info.cm_port = 0x3132;
  info.cm_cookie = {0x41, 0x42};
  const Bytes bytes = info.pack();
  ASSERT_EQ(bytes.size(), QpInfo::kPackedSize);
  const unsigned golden[] = {'P', 'L', 'v', 'q', 0, 3, 3, 5, 1, 2};
  for (std::size_t i = 0; i < std::size(golden); ++i) {
    EXPECT_EQ(std::to_integer<unsigned>(bytes[i]), golden[i]) << i;
  }
  EXPECT_EQ(std::to_integer<unsigned>(bytes[34]), 0x11u);  // addresses too in network order
  EXPECT_EQ(QpInfo::unpack(bytes, 3).mailbox_address, info.mailbox_address);
  EXPECT_EQ(QpInfo::unpack(bytes, 3).gid, info.gid);
  EXPECT_EQ(QpInfo::unpack(bytes, 3).receives, 512u);
  EXPECT_EQ(std::to_integer<unsigned>(bytes[54]), 3u);
  EXPECT_EQ(QpInfo::unpack(bytes, 3).notify_ways, 3u);
  EXPECT_EQ(std::to_integer<unsigned>(bytes[55]), 2u);
  EXPECT_EQ(QpInfo::unpack(bytes, 3).connect, IbConnect::cm);
  EXPECT_EQ(QpInfo::unpack(bytes, 3).cm_address, info.cm_address);
  EXPECT_EQ(std::to_integer<unsigned>(bytes[72]), 0x31u);
  EXPECT_EQ(QpInfo::unpack(bytes, 3).cm_port, 0x3132);
  EXPECT_EQ(QpInfo::unpack(bytes, 3).cm_cookie, info.cm_cookie);
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
  other = bytes;
  other[55] = std::byte{0};  // auto is not a way
  expect_has(error_of(other), {"damaged"});
  for (const unsigned ways : {0u, 4u}) {
    other = bytes;
    other[54] = std::byte{static_cast<std::uint8_t>(ways)};
    expect_has(error_of(other), {"damaged"});
  }
  expect_has(error_of(Bytes(bytes.begin(), bytes.begin() + 20)), {"damaged"});
}

// --- the choice of a GID ---

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

}  // namespace
}  // namespace paceline::transport::verbs
