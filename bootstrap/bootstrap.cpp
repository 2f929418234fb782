#include "bootstrap/bootstrap.h"

#include <sys/resource.h>

#include <algorithm>

#include "bootstrap/meeting_place.h"
#include "bootstrap/member.h"

namespace paceline::bootstrap {

namespace {

/// The program's own, and what the library opens once per process.
constexpr rlim_t kOtherFiles = 64;

// Rank 0 holds a connection to each rank while they meet; later a rank may have a link to each. A
// soft limit (mostly 1024) is for programs that use select(): it is raised only if it would be too
// low, and only as far as the machine's owner allows.
void reserve_descriptors(const Config& config) {
  const auto ranks = static_cast<rlim_t>(config.size);
  const rlim_t wanted = kOtherFiles + ranks * (1 + static_cast<rlim_t>(config.tcp_links));
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);  // if not, somebody says so when there are too few
}

}  // namespace

std::unique_ptr<Bootstrap> create(const Config& config, std::shared_ptr<Store> store,
                                  const std::string& name, const Logger& log) {
  if (config.size < 1 || config.rank < 0 || (config.size == 1 && config.rank != 0)) {
    throw Error(ErrorCode::invalid_configuration,
                "rank " + std::to_string(config.rank) + " of " + std::to_string(config.size) +
                    ": ranks count from 0 to size - 1 (PACELINE_RANK, PACELINE_SIZE)");
  }
  if (name.empty() || name.size() > kMaxName) {
    throw Error(ErrorCode::invalid_argument, "the name of a communicator has 1 to " +
                                                 std::to_string(kMaxName) + " bytes, not " +
                                                 std::to_string(name.size()));
  }
  const Nanoseconds deadline = steady_now() + std::chrono::nanoseconds(config.timeout).count();
  MeetingPlace place;
  if (config.size > 1) reserve_descriptors(config);
  if (config.size > 1) place = find_meeting_place(config, store, name, deadline);
  auto member = std::make_unique<Member>(config, name, std::move(place), deadline, log);
  member->meet();
  return member;
}

}  // namespace paceline::bootstrap
