// What `paceline info` says of RDMA devices, over fake ones.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tool/info_wires.h"
#include "transport/fake_verbs.h"

namespace paceline::tool {
namespace {

using namespace transport::verbs;

FakePort roce_port() {
  FakePort port;
  Gid gid{};
  gid[10] = gid[11] = 0xff;
  gid[12] = 10;
  gid[15] = 7;
  port.gids = {{3, gid, LinkKind::roce_v2_ipv4}};
  return port;
}

Json facts_of(std::vector<FakeDevice> devices) {
  return rdma_device_facts(
      Config{}, std::make_shared<FakeVerbs>(std::make_shared<FakeNetwork>(), std::move(devices)));
}

TEST(RdmaDevices, NoneIsAnEmptyList) {
  EXPECT_EQ(facts_of({}), Json::array());
}

TEST(RdmaDevices, AUsableOneIsDescribed) {
  FakeDevice device;
  device.name = "mlx5_0";
  device.ports = {roce_port()};
  const Json facts = facts_of({device});
  ASSERT_EQ(facts.size(), 1U);
  EXPECT_EQ(facts[0], Json({{"name", "mlx5_0"},
                            {"usable", true},
                            {"port", 1},
                            {"link", "RoCE v2 over IPv4"},
                            {"gid", "::ffff:10.0.0.7"},
                            {"gid_index", 3},
                            {"mtu_bytes", 4096}}));
}

TEST(RdmaDevices, OneWithoutALinkSaysSo) {
  FakeDevice down;
  down.name = "mlx5_0";
  down.ports = {roce_port()};
  down.ports[0].state = IBV_PORT_DOWN;
  FakeDevice up;
  up.name = "mlx5_1";
  up.ports = {roce_port()};
  const Json facts = facts_of({down, up});
  ASSERT_EQ(facts.size(), 2U);
  EXPECT_FALSE(facts[0]["usable"].get<bool>());
  EXPECT_NE(facts[0]["why_not"].get<std::string>().find("mlx5_0 port 1 is not active"),
            std::string::npos);
  EXPECT_TRUE(facts[1]["usable"].get<bool>());
}

}  // namespace
}  // namespace paceline::tool
