// In a child of the process that made a communicator.
//
// The child has none of its threads, its locks are in whatever state they were, its sockets are the
// parent's and its registered memory is not there. So nothing of it is touched, not even to destroy
// it: what can be done with it is to hear that it cannot be used.
#include "communicator/core.h"

namespace paceline {

void CommunicatorCore::throw_forked() const {
  throw Error(ErrorCode::invalid_argument,
              made_by_.text("rank " + std::to_string(config_.rank) + "'s communicator"),
              {config_.rank});
}

void CommunicatorCore::let_go(std::shared_ptr<CommunicatorCore> core) noexcept {
  if (core != nullptr && core->made_by_.foreign()) abandon(std::move(core));
}

}  // namespace paceline
