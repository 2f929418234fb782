// What of this machine matters whatever the wire.
#pragma once

#include "paceline/config.h"
#include "tool/report.h"

namespace paceline::tool {

/// Its name, the host id that ranks here would have, cores, and SIMD instruction sets.
Json machine_facts(const Config& config);

/// The libraries that are loaded at run time, and whether they can be.
Json library_facts();

/// The limits of a process that the library can run into.
Json limit_facts();

}  // namespace paceline::tool
