// The launcher's own channel where it speaks PMIx (Open MPI, srun --mpi=pmix, prterun), as a Store
// for the one thing that rank 0 has to tell.
#pragma once

#include <memory>

#include "base/launcher_channel.h"
#include "paceline/config.h"
#include "paceline/store.h"

namespace paceline::bootstrap {

/// A Store in which rank 0 sets and everybody else gets each key, once: PMIx exchanges data when
/// all processes of the job meet in a fence, and set() and get() are our part in one. Loads
/// libpmix.so.2; a process that uses MPI already shares its connection, which PMIx allows. Rank and
/// size of `config` must be what the launcher says. Throws Error (unsupported,
/// invalid_configuration or bootstrap_failed).
std::shared_ptr<Store> make_pmix_store(const PmixChannel& channel, const Config& config);

/// How many processes the launcher says that there are.
int ask_pmix_size(const PmixChannel& channel, const Config& config);

}  // namespace paceline::bootstrap
