// Asks processes that run on this machine what they are doing: communicator/status_door.h.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "tool/report.h"

namespace paceline::tool {

/// Processes of this network namespace that can be asked, ascending.
std::vector<pid_t> processes_with_a_door();

/// What the process says of its own rank, or of all ranks of its communicators. Throws
/// std::runtime_error, with a sentence, if it cannot be asked or does not answer.
Json ask_process(pid_t pid, bool all_ranks);

}  // namespace paceline::tool
