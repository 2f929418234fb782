// What the library says while it runs: one line per event, to stderr or a file.
//
// A Logger is a value: the communicator's name and rank, the levels, and where lines go. It is
// handed down at creation to the parts that log, so that several ranks in one process say which of
// them speaks, and there is no state of the process's. One that was never given a Config is silent.
//
// What is not said costs a load of a byte and a branch: texts are given as functions that make
// them. A line leaves in one write(2), so lines of several threads and processes never mix.
//
// Own code and not a logging library: what is left to such a library is the two hundred lines of
// log.cpp, and it would put its own (weak) symbols, at a version of its own, into every program
// that links ours.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "paceline/config.h"
#include "paceline/log.h"

namespace paceline {

class LogFile;

class Logger {
 public:
  Logger() = default;
  /// Opens Config::log_file; throws Error (invalid_configuration) if that cannot be done.
  Logger(const Config& config, std::string_view communicator);

  [[nodiscard]] bool on(LogLevel level, LogComponent component) const {
    return level <= limits_[static_cast<std::size_t>(component)];
  }

  /// `text` is the text, or a function that returns it and is called only if it is to be said.
  template <class Text>
  void say(LogLevel level, LogComponent component, const Text& text) const {
    if (!on(level, component)) return;
    if constexpr (std::is_invocable_v<const Text&>) {
      write(level, component, text());
    } else {
      write(level, component, text);
    }
  }
  template <class Text>
  void error(LogComponent component, const Text& text) const {
    say(LogLevel::error, component, text);
  }
  template <class Text>
  void warning(LogComponent component, const Text& text) const {
    say(LogLevel::warning, component, text);
  }
  template <class Text>
  void info(LogComponent component, const Text& text) const {
    say(LogLevel::info, component, text);
  }
  template <class Text>
  void debug(LogComponent component, const Text& text) const {
    say(LogLevel::debug, component, text);
  }
  template <class Text>
  void trace(LogComponent component, const Text& text) const {
    say(LogLevel::trace, component, text);
  }

 private:
  void write(LogLevel level, LogComponent component, std::string_view text) const;

  std::array<LogLevel, kLogComponents> limits_ = {};  ///< all off
  std::shared_ptr<const LogFile> file_;
};

}  // namespace paceline
