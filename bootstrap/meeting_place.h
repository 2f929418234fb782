// Where and under which secret the ranks meet: from Config::root, or through a Store.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "bootstrap/addresses.h"
#include "paceline/config.h"
#include "paceline/store.h"

namespace paceline::bootstrap {

/// One rank's view of it.
struct MeetingPlace {
  std::string secret = {};
  /// Where rank 0 can be dialed; not for rank 0 itself.
  std::vector<SocketAddress> root = {};
  /// Where this rank listens for its peers. Empty: to be opened at our end of the connection to
  /// rank 0, which is the address that routes there.
  std::vector<UniqueFd> listeners = {};
  /// Rank 0: at Config::root itself, until all have come.
  std::vector<UniqueFd> fixed = {};
  /// Our end of what we dial, if an interface is prescribed.
  SocketAddress source = {};
};

/// May ask the name service and the store, and so block until `deadline`. Throws Error.
MeetingPlace find_meeting_place(const Config& config, const std::shared_ptr<Store>& store,
                                const std::string& name, Nanoseconds deadline);

}  // namespace paceline::bootstrap
