// A rank's view of the simulation.
#pragma once

#include <memory>

#include "transport/transport.h"
#include "transport_sim/core.h"

namespace paceline::transport::sim {

std::unique_ptr<Transport> make_transport(std::shared_ptr<Core> core, int rank);

}  // namespace paceline::transport::sim
