// Devices as they are in the world: the limits and habits of drivers, for FakeVerbs.
#pragma once

#include <span>

#include "transport/fake_verbs.h"

namespace paceline::transport::verbs {

/// A v4-mapped GID.
Gid ipv4_gid(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d);

/// A RoCE v2 device of host number `host`, 10.0.0.<host+1>.
FakeDevice roce_device(int host = 0);

/// An iWARP device as siw makes them.
FakeDevice iwarp_device(int host = 0);

struct FakeProfile {
  const char* name;
  FakeDevice (*device)(int host);
};

/// mlx5 on Ethernet and on InfiniBand, irdma in both of its modes, erdma in both of its modes, siw
/// and rxe.
std::span<const FakeProfile> profiles();

}  // namespace paceline::transport::verbs
