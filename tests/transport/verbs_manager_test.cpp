// RDMA links that the connection manager makes, on fake devices: when it is asked for, what both
// ends must agree on, and what is said where it fails.
#include "transport/fake_cm.h"
#include "transport/verbs_pair.h"

namespace paceline::transport::verbs {
namespace {

VerbsOptions by(IbConnect connect) {
  VerbsOptions options;
  options.connect = connect;
  return options;
}

/// Two ranks with a manager each.
struct ManagedPair : Pair {
  explicit ManagedPair(const VerbsOptions& options, FakeDevice device0 = iwarp_device(),
                       FakeDevice device1 = iwarp_device())
      : ManagedPair(options, options, std::move(device0), std::move(device1)) {}
  ManagedPair(const VerbsOptions& options0, const VerbsOptions& options1, FakeDevice device0,
              FakeDevice device1)
      : Pair({}), managers(std::make_shared<FakeCmNetwork>(network)) {
    transports[0] = make_managed(options0, std::move(device0));
    transports[1] = make_managed(options1, std::move(device1));
  }
  std::unique_ptr<Transport> make_managed(VerbsOptions options, const FakeDevice& device) const {
    options.rnr_retry = 0;
    auto host = std::make_shared<FakeVerbs>(network, std::vector<FakeDevice>{device});
    return make_verbs_transport(options, host, std::make_shared<FakeCm>(managers, *host, device));
  }
  void expect_linked() {
    link();
    for (int rank : {0, 1}) {
      ASSERT_TRUE(ends[rank]->signal(3));
      EXPECT_TRUE(until([&] { return ends[1 - rank]->arrived(3) == 1; }));
    }
    EXPECT_EQ(network->book().spoke_too_early, 0u);
    EXPECT_EQ(managers->book().events_kept, 0u);
  }
  std::shared_ptr<FakeCmNetwork> managers;
};

TEST(VerbsManager, ConnectsIwarpAndWhatAsksForIt) {
  ManagedPair iwarp(by(IbConnect::automatic));
  iwarp.expect_linked();
  EXPECT_EQ(iwarp.managers->book().connections, 1u);
  ManagedPair exchanged(by(IbConnect::automatic), roce_device(0), roce_device(1));
  exchanged.expect_linked();
  EXPECT_EQ(exchanged.managers->book().connections, 0u);
  ManagedPair asked(by(IbConnect::cm), roce_device(0), roce_device(1));
  asked.expect_linked();
  EXPECT_EQ(asked.managers->book().connections, 1u);
}

TEST(VerbsManager, MakesManyLinksOnADeviceWhoseLibraryLosesAnOffset) {
  for (const std::uint32_t depth : {16u, 48u, 64u, 100u, 256u, 500u}) {
    for (const std::uint32_t receives : {16u, 64u, 100u, 500u}) {
      VerbsOptions options;
      options.send_depth = depth;
      options.receive_depth = receives;
      ManagedPair pair(options);
      for (int link = 0; link < 40; ++link) ASSERT_EQ(pair.link_error(), "no error") << link;
    }
  }
}

TEST(VerbsManager, LeavesTheMtuAndTheRetriesToTheLink) {
  FakeDevice small = roce_device(1);
  small.ports[0].mtu = IBV_MTU_1024;
  VerbsOptions options = by(IbConnect::cm);
  options.retry_count = 5;
  ManagedPair pair(options, roce_device(0), small);
  pair.expect_linked();
  EXPECT_EQ(pair.network->book().last_path_mtu, IBV_MTU_1024);
  EXPECT_EQ(pair.network->book().last_retries, 5);
}

TEST(VerbsManager, BothEndsMustAgreeOnIt) {
  ManagedPair pair(by(IbConnect::cm), by(IbConnect::exchange), roce_device(0), roce_device(1));
  for (int rank : {0, 1}) {
    const Reachable answer =
        pair.transports[rank]->reachable(pair.transports[1 - rank]->describe());
    EXPECT_FALSE(answer.yes);
    expect_has(answer.why_not, {"connects by", "cm", "exchange", "PACELINE_IB_CONNECT"});
  }
  expect_has(pair.link_error(), {"connects by", "cm", "exchange", "PACELINE_IB_CONNECT"});
  ManagedPair mixed({}, {}, iwarp_device(), roce_device(1));
  expect_has(mixed.transports[0]->reachable(mixed.transports[1]->describe()).why_not,
             {"siw0 port 1", "iWARP", "fake0 port 1", "RoCE v2 over IPv4"});
}

TEST(VerbsManager, WhatItSaysOfFailuresIsPassedOn) {
  const std::pair<rdma_cm_event_type, const char*> rows[] = {
      {RDMA_CM_EVENT_UNREACHABLE, "does not answer"},
      {RDMA_CM_EVENT_REJECTED, "refused the connection"},
      {RDMA_CM_EVENT_CONNECT_ERROR, "could not be made"},
      {RDMA_CM_EVENT_DEVICE_REMOVAL, "device was removed"}};
  for (const auto& [event, text] : rows) {
    ManagedPair pair({});
    pair.managers->fail_with(event);
    expect_has(pair.link_error(), {"RDMA link to rank 1", "siw0 port 1", "iWARP", "rdma_cm", text});
  }
}

TEST(VerbsManager, StrangersAreRefusedAndThePeerIsServed) {
  ManagedPair pair({});
  pair.managers->send_stranger();
  pair.expect_linked();
  EXPECT_EQ(pair.managers->book().rejections, 1u);
  EXPECT_EQ(pair.managers->book().connections, 1u);
}

// Software iWARP takes TCP's port of the number that the manager has chosen from ports of its own.
TEST(VerbsManager, PortThatTcpHasTakenIsLeftForAnother) {
  for (const int taken : {1, 2, 5}) {
    ManagedPair pair({});
    pair.managers->take_ports(taken);
    pair.expect_linked();
    EXPECT_EQ(pair.managers->book().connections, 1u);
  }
  ManagedPair none({});
  none.managers->take_ports(10'000);
  expect_has(none.link_error(),
             {"could not be connected by rdma_cm", "could not listen", "Address already in use"});
}

TEST(VerbsManager, LastWordOnIwarpIsARead) {
  ManagedPair pair({});
  pair.link();
  ASSERT_TRUE(pair.ends[0]->send(pattern(100, 1), {}));
  pair.ends[0]->close();
  EXPECT_EQ(pair.network->book().reads, 1u);
  EXPECT_TRUE(pair.until([&] { return !pair.ends[1]->front().empty(); }));
  EXPECT_TRUE(same(pair.ends[1]->front(), pattern(100, 1)));
  pair.ends[1]->pop();
  expect_has(pair.error_at(1), {"rank 0 closed its RDMA link or died"});
}

TEST(VerbsManager, EndOfAnIwarpLinkThatNobodyClosedIsAFailure) {
  ManagedPair pair({});
  pair.link();
  pair.network->break_all();
  expect_has(pair.error_at(1), {"RDMA link to rank 0", "iWARP", "failed"});
}

TEST(VerbsManager, LibraryThatIsMissingIsASentence) {
  std::string why_not;
  EXPECT_EQ(load_cm_api(why_not, "libno-such-manager.so.1"), nullptr);
  EXPECT_EQ(why_not, "libno-such-manager.so.1 not found");
  EXPECT_EQ(load_cm_api(why_not, "libc.so.6"), nullptr);
  expect_has(why_not, {"libc.so.6 has no rdma_", "rdma-core"});
}

}  // namespace
}  // namespace paceline::transport::verbs
