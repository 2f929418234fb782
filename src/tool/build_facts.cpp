// The only file that knows the commit, so that a new one compiles no other.
#include "tool/build_facts.h"

#include <string>

#include "paceline/communicator.h"

namespace paceline::tool {

Json build_facts() {
#ifdef __clang__
  const std::string compiler = "clang " __clang_version__;
#else
  const std::string compiler = "g++ " __VERSION__;
#endif
  const std::string sanitizers = PACELINE_SANITIZERS;
  return {{"version", version()},
          {"commit", PACELINE_COMMIT},
          {"build_type", PACELINE_BUILD_TYPE},
          {"compiler", compiler},
          {"sanitizers", sanitizers.empty() ? "none" : sanitizers}};
}

}  // namespace paceline::tool
