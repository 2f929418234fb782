// The two ways in which the RDMA wire notifies: what travels, which is chosen, and what happens on
// devices that have only one.
#include <cstring>

#include "transport/verbs_pair.h"
#include "transport_verbs/notify_choice.h"

namespace paceline::transport::verbs {
namespace {

constexpr NotifyWays kBoth = Notify::write_with_immediate | Notify::write_then_send;
constexpr auto kImmediate = static_cast<NotifyWays>(Notify::write_with_immediate);
constexpr auto kSend = static_cast<NotifyWays>(Notify::write_then_send);

VerbsOptions asking(IbNotify notify) {
  VerbsOptions options;
  options.notify = notify;
  return options;
}

/// Two ranks on devices that treat immediates so, and that were asked for these ways.
struct NotifyPair : Pair {
  NotifyPair(FakeImmediates device0, FakeImmediates device1, IbNotify asked0, IbNotify asked1,
             unsigned reluctance = 0)
      : Pair(asking(asked0), asking(asked1), device(0, device0), device(1, device1), reluctance) {}
  static FakeDevice device(int host, FakeImmediates immediates) {
    FakeDevice device = roce_device(host);
    device.immediates = immediates;
    return device;
  }
  /// Links, exchanges a little each way, and says which way it went.
  Notify way_in_use() {
    link();
    for (int rank : {0, 1}) {
      const FakeNetwork::Book before = network->book();
      EXPECT_TRUE(ends[rank]->send(pattern(500, 1), pattern(40, 2)));
      EXPECT_TRUE(ends[rank]->signal(3));
      EXPECT_TRUE(until([&] { return ends[1 - rank]->arrived(3) == 1; }));
      EXPECT_TRUE(same(ends[1 - rank]->front().first(500), pattern(500, 1)));
      const FakeNetwork::Book after = network->book();
      const bool sends = after.sends == before.sends + 2;
      EXPECT_EQ(after.immediates, before.immediates + (sends ? 0 : 2));
      if (rank == 1) return sends ? Notify::write_then_send : Notify::write_with_immediate;
    }
    return {};
  }
};

TEST(VerbsNotify, SendCarriesTheBytesOfAnImmediate) {
  Pair pair(asking(IbNotify::send));
  pair.link();
  ASSERT_TRUE(pair.ends[0]->signal(5));
  EXPECT_TRUE(pair.until([&] { return pair.ends[1]->arrived(5) == 1; }));
  const Bytes golden = {std::byte{0x10}, std::byte{0}, std::byte{0}, std::byte{5}};
  EXPECT_EQ(pair.network->book().last_send, golden);
}

TEST(VerbsNotify, WaysOfADeviceFollowItsKindAndWhatWasAsked) {
  constexpr std::uint32_t mellanox = 0x02c9;
  constexpr std::uint32_t intel = 0x8086;
  constexpr std::uint32_t alibaba = 0x1ded;
  EXPECT_EQ(notify_ways(IbNotify::automatic, mellanox, IBV_TRANSPORT_IB), kBoth);
  EXPECT_EQ(notify_ways(IbNotify::automatic, intel, IBV_TRANSPORT_IB), kBoth);
  EXPECT_EQ(notify_ways(IbNotify::automatic, intel, IBV_TRANSPORT_IWARP), kSend);
  EXPECT_EQ(notify_ways(IbNotify::automatic, alibaba, IBV_TRANSPORT_IWARP), kBoth);
  EXPECT_EQ(notify_ways(IbNotify::automatic, mellanox, IBV_TRANSPORT_UNSPECIFIED), kSend);
  EXPECT_EQ(notify_ways(IbNotify::send, mellanox, IBV_TRANSPORT_IB), kSend);
  EXPECT_EQ(notify_ways(IbNotify::immediate, intel, IBV_TRANSPORT_IWARP), kImmediate);
}

TEST(VerbsNotify, WeakerEndDecides) {
  EXPECT_EQ(agree(kBoth, kBoth), Notify::write_with_immediate);
  EXPECT_EQ(agree(kBoth, kImmediate), Notify::write_with_immediate);
  for (const NotifyWays other : {kBoth, kSend}) {
    EXPECT_EQ(agree(kSend, other), Notify::write_then_send);
    EXPECT_EQ(agree(other, kSend), Notify::write_then_send);
  }
  EXPECT_EQ(agree(kSend, kImmediate), std::nullopt);
}

TEST(VerbsNotify, LinkTakesWhatBothEndsWereAskedFor) {
  using enum IbNotify;
  constexpr auto work = FakeImmediates::work;
  const auto way = [](IbNotify a, IbNotify b) { return NotifyPair(work, work, a, b).way_in_use(); };
  EXPECT_EQ(way(automatic, automatic), Notify::write_with_immediate);
  EXPECT_EQ(way(immediate, automatic), Notify::write_with_immediate);
  EXPECT_EQ(way(send, automatic), Notify::write_then_send);
  EXPECT_EQ(way(automatic, send), Notify::write_then_send);
  NotifyPair pair(work, work, send, immediate);
  expect_has(pair.link_error(), {"by sends only", "by immediates only", "PACELINE_IB_NOTIFY"});
}

// Whatever goes wrong with an immediate, and at whichever end: both ends begin again with sends,
// and nothing of the first try is left.
TEST(VerbsNotify, ImmediatesThatDoNotWorkAreFoundOutByTheHello) {
  using enum FakeImmediates;
  for (const FakeImmediates trouble : {refused, fail_at_peer, swallowed}) {
    for (int ends = 1; ends < 4; ++ends) {
      for (unsigned reluctance : {0u, 3u}) {
        // That nothing comes takes two seconds to find out, so once.
        if (trouble == swallowed && (ends != 1 || reluctance == 0)) continue;
        NotifyPair pair((ends & 1) != 0 ? trouble : work, (ends & 2) != 0 ? trouble : work,
                        IbNotify::automatic, IbNotify::automatic, reluctance);
        const std::int64_t before = pair.network->book().live_objects;
        EXPECT_EQ(pair.way_in_use(), Notify::write_then_send)
            << static_cast<int>(trouble) << " at " << ends;
        // A queue pair, a completion queue and two regions at each end.
        EXPECT_EQ(pair.network->book().live_objects, before + 8);
        expect_clean(pair.network->book());
      }
    }
  }
}

TEST(VerbsNotify, ImmediatesThatWereDemandedAreAnErrorWhereTheyAreRefused) {
  NotifyPair pair(FakeImmediates::refused, FakeImmediates::work, IbNotify::immediate,
                  IbNotify::immediate);
  expect_has(pair.link_error(), {"RDMA link to rank 1", "notified by immediates",
                                 "could not be posted", "PACELINE_IB_NOTIFY=immediate"});
}

TEST(VerbsNotify, NotificationOfAnotherKindBreaksTheLink) {
  // The one end's sends find a peer that takes immediates.
  for (const IbNotify asked : {IbNotify::immediate, IbNotify::send}) {
    Pair pair(asking(asked));
    pair.link();
    pair.network->garble_next_notification();
    ASSERT_TRUE(pair.ends[0]->signal(0));
    expect_has(pair.error_at(1), {"RDMA link to rank 0", "makes no sense"});
  }
}

}  // namespace
}  // namespace paceline::transport::verbs
