// main() of the *_perf programs, after nccl-tests: how long a call takes and what bandwidth
// that makes. They are started by mpirun, srun, torchrun, or with PACELINE_RANK, PACELINE_SIZE and
// PACELINE_ROOT set, and link no MPI:
//
//   mpirun -n 4 build/bin/all_reduce_perf -b 8 -e 128M -f 4
#pragma once

#include <optional>

#include "paceline/types.h"

namespace paceline::bench {

/// Without a collective: a send and a recv. The exit code: 0 if all is well, 1 if anything was
/// wrong, 2 for an error.
int perf_main(int argc, char** argv, std::optional<Collective> collective);

}  // namespace paceline::bench
