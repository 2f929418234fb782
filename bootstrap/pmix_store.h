// Open MPI's own channel (PMIx), as a Store for the one thing that rank 0 has to tell.
#pragma once

#include <chrono>
#include <memory>

#include "paceline/store.h"

namespace paceline::bootstrap {

/// A Store in which rank 0 sets and everybody else gets each key, once: PMIx exchanges data when
/// all processes of the job meet in a fence, and set() and get() are our part in one. Loads
/// libpmix.so.2; a process that uses MPI already shares its connection. Throws Error (unsupported
/// or bootstrap_failed).
std::shared_ptr<Store> make_pmix_store(int rank, std::chrono::milliseconds timeout);

}  // namespace paceline::bootstrap
