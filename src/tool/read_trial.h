// Whether ranks of this machine may read each other's memory, found out by trying.
#pragma once

#include <string>

namespace paceline::tool {

/// Empty if a process may read the memory of another that is neither its parent nor its child
/// (process_vm_readv), as the shared-memory wire does for memory that is not its own; else why not
/// and what helps, in one sentence without a full stop. Forks two children that end before it
/// returns, so it is called before there are threads.
std::string read_trial();

}  // namespace paceline::tool
