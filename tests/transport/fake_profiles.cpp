// Where the figures are from: the drivers' sources in Linux 6.1 (drivers/infiniband) and in
// rdma-core 44 (providers), and Alibaba's out-of-tree driver for erdma that shows itself as RoCE.
#include "transport/fake_profiles.h"

#include <array>

namespace paceline::transport::verbs {
namespace {

// Vendor numbers as the devices report them.
constexpr std::uint32_t kMellanox = 0x02c9;
constexpr std::uint32_t kIntel = 0x8086;
constexpr std::uint32_t kAlibaba = 0x1ded;
constexpr std::uint32_t kRxe = 0xffffff;
constexpr std::uint32_t kSiw = 0x626d74;

std::uint8_t last_byte(int host) {
  return static_cast<std::uint8_t>(host + 1);
}

GidEntry link_local(int index, int host, LinkKind kind) {
  return {index, {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, last_byte(host)}, kind};
}

GidEntry ipv4(int index, int host, LinkKind kind) {
  return {index, ipv4_gid(10, 0, 0, last_byte(host)), kind};
}

FakeDevice mlx5(int host) {
  FakeDevice device;
  device.name = "mlx5_0";
  device.vendor = kMellanox;
  device.max_qp_wr = 32'768;
  device.max_cqe = 4'194'303;
  device.max_inline = 828;
  device.max_send_sge = 30;
  device.max_recv_sge = 32;
  // Each address twice: as version 1 and as version 2.
  device.ports[0].gids = {link_local(0, host, LinkKind::roce_v1),
                          link_local(1, host, LinkKind::roce_v2_ipv6),
                          ipv4(2, host, LinkKind::roce_v1), ipv4(3, host, LinkKind::roce_v2_ipv4)};
  return device;
}

FakeDevice mlx5_infiniband(int host) {
  FakeDevice device = mlx5(host);
  FakePort& port = device.ports[0];
  port.link_layer = IBV_LINK_LAYER_INFINIBAND;
  port.lid = static_cast<std::uint16_t>(host + 1);
  port.gids = {link_local(0, host, LinkKind::infiniband)};
  return device;
}

FakeDevice irdma(int host) {
  FakeDevice device = roce_device(host);
  device.name = "rocep24s0f0";
  device.vendor = kIntel;
  device.max_qp_wr = 4'063;
  device.max_cqe = 1'048'574;
  device.max_inline = 101;
  device.max_send_sge = 13;
  device.max_recv_sge = 13;
  device.ports[0].max_message = 0x7fffffff;
  return device;
}

FakeDevice irdma_iwarp(int /*host*/) {
  FakeDevice device = irdma(0);
  device.name = "iwp24s0f0";
  device.transport = IBV_TRANSPORT_IWARP;
  device.immediates = FakeImmediates::refused;
  device.max_inline = 48;
  device.ports[0].gids.clear();
  return device;
}

FakeDevice erdma(int /*host*/) {
  FakeDevice device;
  device.name = "erdma_0";
  device.vendor = kAlibaba;
  device.transport = IBV_TRANSPORT_IWARP;
  device.immediates = FakeImmediates::work;
  device.max_qp_wr = 8'192;
  device.max_cqe = 1'048'576;
  device.max_inline = 96;
  device.max_send_sge = 6;
  device.max_recv_sge = 1;
  return device;
}

// Out-of-tree, compat_mode=Y: RoCE v2 as far as one can see, over IPv4 alone.
FakeDevice erdma_compat(int host) {
  FakeDevice device = erdma(host);
  device.transport = IBV_TRANSPORT_IB;
  device.ports[0].mtu = IBV_MTU_1024;
  for (int index = 0; index < 16; ++index) {
    device.ports[0].gids.push_back({index, Gid{}, LinkKind::roce_v2_ipv6});
  }
  device.ports[0].gids[1] = ipv4(1, host, LinkKind::roce_v2_ipv4);
  return device;
}

FakeDevice rxe(int host) {
  FakeDevice device = roce_device(host);
  device.name = "rxe0";
  device.vendor = kRxe;
  device.max_qp_wr = 16'384;
  device.max_cqe = 32'767;
  device.max_inline = 512;
  device.max_send_sge = 32;
  device.max_recv_sge = 32;
  device.ports[0].max_message = 8u << 20;
  device.ports[0].mtu = IBV_MTU_1024;
  return device;
}

constexpr std::array kProfiles = {
    FakeProfile{"mlx5", mlx5},        FakeProfile{"mlx5_infiniband", mlx5_infiniband},
    FakeProfile{"irdma", irdma},      FakeProfile{"irdma_iwarp", irdma_iwarp},
    FakeProfile{"erdma", erdma},      FakeProfile{"erdma_compat", erdma_compat},
    FakeProfile{"siw", iwarp_device}, FakeProfile{"rxe", rxe},
};

}  // namespace

Gid ipv4_gid(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d};
}

FakeDevice roce_device(int host) {
  FakeDevice device;
  device.ports[0].gids = {link_local(0, host, LinkKind::roce_v2_ipv6),
                          ipv4(1, host, LinkKind::roce_v2_ipv4)};
  return device;
}

FakeDevice iwarp_device(int /*host*/) {
  FakeDevice device;
  device.name = "siw0";
  device.vendor = kSiw;
  device.immediates = FakeImmediates::refused;
  device.transport = IBV_TRANSPORT_IWARP;
  device.max_inline = 80;
  device.max_send_sge = 6;
  device.max_recv_sge = 6;
  device.loses_an_offset = true;
  device.ports[0].max_message = ~0u;
  return device;
}

std::span<const FakeProfile> profiles() {
  return kProfiles;
}

}  // namespace paceline::transport::verbs
