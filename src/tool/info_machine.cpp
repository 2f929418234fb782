#include "tool/info_machine.h"

#include <dlfcn.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "bootstrap/addresses.h"
#include "bootstrap/bootstrap.h"
#include "memory/reduce.h"
#include "memory/reduce_targets.h"
// Highway's, after the choice of targets that reduce_targets.h makes.
#include <hwy/targets.h>

namespace paceline::tool {
namespace {

int cores_allowed() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  // Fails where the machine has more cores than the set has room for.
  return ::sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : -1;
}

// Every instruction set that Highway knows and this machine has, the best first: lower bits are
// better.
Json instruction_sets() {
  Json names = Json::array();
  const std::int64_t all = hwy::SupportedTargets();
  for (std::int64_t rest = all; rest != 0; rest &= rest - 1) {
    const std::int64_t lowest = rest & -rest;
    names.push_back(hwy::TargetName(lowest));
  }
  return names;
}

Json limit(decltype(RLIMIT_NOFILE) resource) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return "unknown";
  if (limit.rlim_cur == RLIM_INFINITY) return "unlimited";
  return limit.rlim_cur;
}

// The name that the library's own loading uses; closed again.
std::string cannot_load(const char* name) {
  void* const handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return ::dlerror();
  ::dlclose(handle);
  return {};
}

}  // namespace

Json machine_facts(const Config& config) {
  return {{"host", bootstrap::host_name()},
          {"host_id", config.host_id.empty() ? bootstrap::default_host_id() : config.host_id},
          {"cores", ::sysconf(_SC_NPROCESSORS_ONLN)},
          {"cores_allowed", cores_allowed()},
          {"simd_in_use", memory::reduce_instruction_set()},
          {"simd_supported", instruction_sets()}};
}

Json library_facts() {
  return {{"libibverbs.so.1", ability(cannot_load("libibverbs.so.1"))},
          {"libpmix.so.2", ability(cannot_load("libpmix.so.2"))}};
}

Json limit_facts() {
  // Registered memory is locked, unless the device pages on demand; each link has a descriptor or
  // more, and so has each piece of shared memory.
  return {{"locked_memory_bytes", limit(RLIMIT_MEMLOCK)}, {"open_files", limit(RLIMIT_NOFILE)}};
}

}  // namespace paceline::tool
