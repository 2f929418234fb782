// What this build was made of and how.
#pragma once

#include "tool/report.h"

namespace paceline::tool {

/// version, commit ("unknown" outside of a repository), build type, compiler, sanitizers.
Json build_facts();

}  // namespace paceline::tool
