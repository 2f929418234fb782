#include "config.h"

#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <utility>

#include "errors.h"

namespace paceline::python {

namespace {

[[noreturn]] void refuse_configuration(const std::string& text) {
  throw Error(ErrorCode::invalid_configuration, text);
}

// Enumerators by their names, as in the environment.
template <class Enum, std::size_t kCount>
Enum named(const std::string& name, const std::array<Enum, kCount>& all) {
  std::string allowed;
  for (const Enum value : all) {
    if (name == to_string(value)) return value;
    allowed += (allowed.empty() ? "" : ", ") + std::string(to_string(value));
  }
  refuse_configuration("\"" + name + "\" is none of " + allowed);
}

constexpr std::array kLevels = {LogLevel::off,  LogLevel::error, LogLevel::warning,
                                LogLevel::info, LogLevel::debug, LogLevel::trace};
constexpr std::array kComponents = {
    LogComponent::bootstrap, LogComponent::shm,    LogComponent::tcp,         LogComponent::verbs,
    LogComponent::engine,    LogComponent::memory, LogComponent::communicator};
static_assert(kComponents.size() == kLogComponents);

std::chrono::milliseconds seconds(py::handle value) {
  const double s = py::float_(py::reinterpret_borrow<py::object>(value));
  constexpr double kMost = 1e9;  // beyond what any field allows, and within 64 bits
  if (std::isnan(s) || s < -kMost || s > kMost)
    refuse_configuration("a time is no number of seconds");
  return std::chrono::milliseconds(std::llround(s * 1000));
}
double in_seconds(std::chrono::milliseconds time) {
  return static_cast<double>(time.count()) / 1000;
}

std::map<LogComponent, LogLevel> components(py::handle value) {
  std::map<LogComponent, LogLevel> result;
  for (const auto& [part, level] : value.cast<std::map<std::string, std::string>>()) {
    result[named(part, kComponents)] = named(level, kLevels);
  }
  return result;
}

py::dict components_of(const Config& config) {
  py::dict result;
  for (const auto& [part, level] : config.log_components) {
    result[py::str(std::string(to_string(part)))] = std::string(to_string(level));
  }
  return result;
}

template <class Enum>
Enum required(std::optional<Enum> found, py::handle value) {
  if (found) return *found;
  refuse_configuration("\"" + std::string(py::str(value)) + "\" is no name that is known");
}

/// A field, how it is set, and how it is read.
struct Field {
  const char* name;
  void (*set)(Config&, py::handle);
  py::object (*get)(const Config&);
};

// For fields whose type Python knows.
#define PACELINE_FIELD(field)                                                            \
  Field {                                                                                \
#field, [](Config& c, py::handle v) { c.field = v.cast<decltype(c.field)>(); },        \
        [](const Config& c) -> py::object { return py::cast(c.field); } \
  }

const std::array kFields = {
    PACELINE_FIELD(rank),
    PACELINE_FIELD(size),
    PACELINE_FIELD(root),
    PACELINE_FIELD(channel),
    PACELINE_FIELD(secret),
    PACELINE_FIELD(interface_name),
    PACELINE_FIELD(port_first),
    PACELINE_FIELD(port_last),
    PACELINE_FIELD(host_id),
    PACELINE_FIELD(transports),
    PACELINE_FIELD(ib_device),
    PACELINE_FIELD(ib_gid_index),
    Field{
        "ib_notify",
        [](Config& c, py::handle v) {
          c.ib_notify = required(ib_notify_from(py::str(v).cast<std::string>()), v);
        },
        [](const Config& c) -> py::object { return py::str(std::string(to_string(c.ib_notify))); }},
    Field{"ib_connect",
          [](Config& c, py::handle v) {
            c.ib_connect = required(ib_connect_from(py::str(v).cast<std::string>()), v);
          },
          [](const Config& c) -> py::object {
            return py::str(std::string(to_string(c.ib_connect)));
          }},
    PACELINE_FIELD(tcp_links),
    PACELINE_FIELD(tcp_congestion),
    Field{
        "algorithm",
        [](Config& c, py::handle v) {
          c.algorithm = required(algorithm_from(py::str(v).cast<std::string>()), v);
        },
        [](const Config& c) -> py::object { return py::str(std::string(to_string(c.algorithm))); }},
    PACELINE_FIELD(tuning),
    PACELINE_FIELD(eager_bytes),
    PACELINE_FIELD(segment_bytes),
    PACELINE_FIELD(lanes),
    Field{"timeout", [](Config& c, py::handle v) { c.timeout = seconds(v); },
          [](const Config& c) -> py::object { return py::float_(in_seconds(c.timeout)); }},
    Field{
        "heartbeat_timeout", [](Config& c, py::handle v) { c.heartbeat_timeout = seconds(v); },
        [](const Config& c) -> py::object { return py::float_(in_seconds(c.heartbeat_timeout)); }},
    Field{
        "log_level",
        [](Config& c, py::handle v) {
          c.log_level = named(py::str(v).cast<std::string>(), kLevels);
        },
        [](const Config& c) -> py::object { return py::str(std::string(to_string(c.log_level))); }},
    Field{"log_components", [](Config& c, py::handle v) { c.log_components = components(v); },
          [](const Config& c) -> py::object { return components_of(c); }},
    PACELINE_FIELD(log_file),
    PACELINE_FIELD(history),
    PACELINE_FIELD(trace_file),
};

#undef PACELINE_FIELD

void set(Config& config, const std::string& name, py::handle value) {
  std::string all;
  for (const Field& field : kFields) {
    all += (all.empty() ? "" : ", ") + std::string(field.name);
    if (name != field.name) continue;
    try {
      return field.set(config, value);
    } catch (const Error& error) {
      refuse_configuration(name + ": " + error.what());
    } catch (const std::exception&) {  // no such type, or out of the range of its own
      const std::string shown = name == "secret" ? a_type(value) : std::string(py::repr(value));
      refuse_configuration(
          name + " is " + shown +
          ": docs/configuration.md says what is allowed, include/paceline/config.h "
          "of which type it is");
    }
  }
  refuse_configuration("init() has no argument " + name + ": the fields of Config are " + all);
}

}  // namespace

Config config_from(std::map<std::string, std::string> environment, const py::dict& fields,
                   bool has_store) {
  // Who and where belongs together: half of it from here and half from there is judged as one.
  constexpr std::array<std::pair<const char*, const char*>, 3> kTogether = {
      {{"rank", "PACELINE_RANK"}, {"size", "PACELINE_SIZE"}, {"root", "PACELINE_ROOT"}}};
  for (const auto& [field, variable] : kTogether) {
    if (!fields.contains(field)) continue;
    if (has_store) {  // which is all that they need to meet
      environment.erase(variable);
    } else {
      environment[variable] = py::str(fields[field]);
    }
  }
  // A secret given twice would be an error, and one in the file is not what the caller means.
  if (fields.contains("secret")) {
    environment.erase("PACELINE_SECRET");
    environment.erase("PACELINE_SECRET_FILE");
  }
  Config config = Config::from(environment);
  for (const auto& [name, value] : fields) set(config, name.cast<std::string>(), value);
  config.validate();
  return config;
}

py::dict fields_of(const Config& config) {
  py::dict result;
  for (const Field& field : kFields) {
    if (std::string_view(field.name) != "secret") result[field.name] = field.get(config);
  }
  return result;
}

}  // namespace paceline::python
