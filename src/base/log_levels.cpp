#include "base/log_levels.h"

#include <optional>

namespace paceline {

namespace {

constexpr LogLevel kLevels[] = {LogLevel::off,  LogLevel::error, LogLevel::warning,
                                LogLevel::info, LogLevel::debug, LogLevel::trace};
constexpr LogComponent kComponents[] = {
    LogComponent::bootstrap, LogComponent::shm,    LogComponent::tcp,         LogComponent::verbs,
    LogComponent::engine,    LogComponent::memory, LogComponent::communicator};
static_assert(std::size(kComponents) == kLogComponents);

template <class T, std::size_t N>
std::optional<T> named(const T (&values)[N], std::string_view name) {
  for (const T value : values) {
    if (to_string(value) == name) return value;
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::off:
      return "off";
    case LogLevel::error:
      return "error";
    case LogLevel::warning:
      return "warning";
    case LogLevel::info:
      return "info";
    case LogLevel::debug:
      return "debug";
    case LogLevel::trace:
      return "trace";
  }
  return "?";
}

std::string_view to_string(LogComponent component) {
  switch (component) {
    case LogComponent::bootstrap:
      return "bootstrap";
    case LogComponent::shm:
      return "shm";
    case LogComponent::tcp:
      return "tcp";
    case LogComponent::verbs:
      return "verbs";
    case LogComponent::engine:
      return "engine";
    case LogComponent::memory:
      return "memory";
    case LogComponent::communicator:
      return "communicator";
  }
  return "?";
}

bool read_log_levels(Config& config, std::string_view text) {
  bool general = false;
  config.log_components.clear();
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) {
      const auto level = named(kLevels, item);
      if (!level || general) return false;
      config.log_level = *level;
      general = true;
    } else {
      const auto component = named(kComponents, item.substr(0, equals));
      const auto level = named(kLevels, item.substr(equals + 1));
      if (!component || !level) return false;
      if (!config.log_components.emplace(*component, *level).second) return false;
    }
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

std::string show_log_levels(const Config& config) {
  std::string text(to_string(config.log_level));
  for (const auto& [component, level] : config.log_components) {
    text += "," + std::string(to_string(component)) + "=" + std::string(to_string(level));
  }
  return text;
}

}  // namespace paceline
