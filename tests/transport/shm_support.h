// What the tests of the shared-memory wire share.
#pragma once

#include <string>

#include "transport/fabric.h"
#include "transport_shm/shm_transport.h"

namespace paceline::transport {

inline constexpr SocketNeed kLocal{SocketNeed::Family::local, 1};

/// Calls `action` until it is true, moving `transport` along; false if that took too long.
template <class Action>
bool until(Transport& transport, Action action) {
  const Nanoseconds start = steady_now();
  while (!action()) {
    if (steady_now() - start > conformance::kPatience) return false;
    transport.progress();
    std::this_thread::yield();
  }
  return true;
}

/// The text of the Error that `action` throws; empty if there was none.
template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

/// The Error of the link, which must come.
inline std::string broken(Transport& transport, Endpoint& endpoint) {
  return error_of([&] { (void)until(transport, [&] { return !endpoint.front().empty(); }); });
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace paceline::transport
