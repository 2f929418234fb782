#include "bootstrap/bootstrap.h"

#include "bootstrap/meeting_place.h"
#include "bootstrap/member.h"

namespace paceline::bootstrap {

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
  if (config.size > 1) place = find_meeting_place(config, store, name, deadline);
  auto member = std::make_unique<Member>(config, name, std::move(place), deadline, log);
  member->meet();
  return member;
}

}  // namespace paceline::bootstrap
