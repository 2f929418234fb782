// Where the ranks of each launcher meet, worked out from its variables: either at an address
// (Config::root) or through the launcher's own channel (Config::channel). What the variables do not
// say stays empty: a program that brings a Store needs neither. Throws Error
// (invalid_configuration) for variables that contradict what they should be.
#pragma once

#include "base/launcher.h"

namespace paceline {

/// torchrun: MASTER_ADDR and MASTER_PORT.
void place_of_torchrun(const Environment& environment, Config& config);
/// Open MPI and every other launcher that speaks PMIx.
void place_of_pmix(const Environment& environment, Config& config);
/// MPICH, Intel MPI and srun --mpi=pmi2: PMI-1 over the socket PMI_FD.
void place_of_pmi(const Environment& environment, Config& config);
/// mpiexec -pmi-port of MPICH: PMI-1 over a connection to PMI_PORT.
void place_of_pmi_port(const Environment& environment, Config& config);
/// srun: PMIx, or without it the first host of the step.
void place_of_slurm(const Environment& environment, Config& config);

}  // namespace paceline
