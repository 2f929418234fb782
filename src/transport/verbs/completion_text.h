// What went wrong, in words: completion statuses, events of the device, errno values.
#pragma once

#include <infiniband/verbs.h>

#include <cstdint>
#include <string>

namespace paceline::transport::verbs {

/// "Cannot allocate memory".
std::string errno_text(int error);

/// The probable cause of a completion's status, without a full stop. Only of statuses other than
/// success.
const char* probable_cause(ibv_wc_status status);

/// An event of the device that ends links, and whose; text is null if it ends none.
struct AsyncTrouble {
  enum class Scope : std::uint8_t { device, queue_pair, completion_queue };
  Scope scope = Scope::device;
  const char* text = nullptr;
};
AsyncTrouble async_trouble(ibv_event_type type);

}  // namespace paceline::transport::verbs
