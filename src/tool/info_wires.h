// Which wires this build has, and which of them work on this machine.
#pragma once

#include <memory>

#include "paceline/config.h"
#include "tool/report.h"
#include "transport_verbs/ibv_api.h"

namespace paceline::tool {

/// Each transport, and whether a rank here would offer it to its peers.
Json transport_facts(const Config& config);

/// Each RDMA device, and whether the verbs transport can use it: a list of objects; empty where
/// there is none. The second form looks at the devices of the given libibverbs.
Json rdma_device_facts(const Config& config);
Json rdma_device_facts(const Config& config,
                       const std::shared_ptr<const transport::verbs::VerbsApi>& api);

}  // namespace paceline::tool
