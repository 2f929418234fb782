// How much the library says of what it does. See docs/logging.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "paceline/export.h"

namespace paceline {

/// Each level says what those before it say, too.
enum class LogLevel : std::uint8_t {
  off,
  error,    ///< something that was asked for is not done, and no Error says so
  warning,  ///< somebody ought to look: a failure, a stranger, a call that does not move
  info,     ///< once per communicator: who met, over which wires
  debug,    ///< once per link, plan and registration
  trace,    ///< once per call
};

/// The parts that can be given a level of their own.
enum class LogComponent : std::uint8_t { bootstrap, shm, tcp, verbs, engine, memory, communicator };
inline constexpr std::size_t kLogComponents = 7;

PACELINE_API std::string_view to_string(LogLevel level);
PACELINE_API std::string_view to_string(LogComponent component);

}  // namespace paceline
