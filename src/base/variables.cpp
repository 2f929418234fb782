#include "base/variables.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "base/host_port.h"
#include "base/log_levels.h"
#include "base/number.h"
#include "base/path_pattern.h"

namespace paceline {
namespace {

// A rank is an int everywhere and a tree of control links is log2 of this deep; more is a typing
// error for years to come.
constexpr int kMaxSize = 1 << 20;
// What 128 bits of randomness take; less can be tried out.
constexpr std::size_t kMinSecret = 16;
// A secret is a line of text; a whole file given by mistake is not.
constexpr std::size_t kMaxSecret = 4096;
// IFNAMSIZ - 1 of the kernel.
constexpr std::size_t kMaxInterfaceName = 15;
// IBV_SYSFS_NAME_MAX - 1.
constexpr std::size_t kMaxDeviceName = 63;
// Host ids travel in the bootstrap's descriptions, which have room for 512 bytes in all.
constexpr std::size_t kMaxHostId = 128;
// The GID table index is a byte in the address handle of a queue pair.
constexpr int kMaxGidIndex = 255;
constexpr int kMaxLinks = 8;
constexpr std::size_t kMaxCongestionName = 15;  // TCP_CA_NAME_MAX without its end
constexpr std::size_t kMaxEagerBytes = 131072;  // the largest payload of any transport's message
constexpr std::size_t kMinSegmentBytes = 4 * 1024;
constexpr std::size_t kMaxSegmentBytes = 16 * 1024 * 1024;
constexpr std::size_t kSegmentMultiple = 64;  // a cache line: no two ranks write into one
constexpr std::size_t kMaxPath = 4095;        // Linux's PATH_MAX, without the end
// A week: longer waits are typing errors, and their milliseconds stay far from overflow.
constexpr std::chrono::milliseconds kMaxTime = std::chrono::hours{24 * 7};
// Shorter silence than this is ordinary scheduling on a loaded host.
constexpr std::chrono::milliseconds kMinHeartbeat{100};
constexpr std::chrono::milliseconds kMinTimeout{1};
// A late message is held against the calls that are remembered: 64 are more than ranks run apart.
constexpr std::size_t kMinHistory = 64;
constexpr std::size_t kMaxHistory = 65536;  // 4 MiB

constexpr std::array<std::string_view, 3> kTransports = {"shm", "verbs", "tcp"};

template <class T>
bool within(T value, T low, T high) {
  return low <= value && value <= high;
}

template <class T, class Field>
bool read_number(Field& field, std::string_view text) {
  const auto value = number_from<T>(text);
  if (value) field = *value;
  return value.has_value();
}

bool read_seconds(std::chrono::milliseconds& field, std::string_view text) {
  const auto seconds = number_from<double>(text);
  const double most = std::chrono::duration<double>(kMaxTime).count();
  if (!seconds || !within(*seconds, 0.0, most)) return false;
  field = std::chrono::milliseconds(std::llround(*seconds * 1000));
  return true;
}

std::string show_seconds(std::chrono::milliseconds time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.12g", static_cast<double>(time.count()) / 1000);
  return text;
}

bool read_ports(Config& config, std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return false;
  return read_number<std::uint16_t>(config.port_first, text.substr(0, dash)) &&
         read_number<std::uint16_t>(config.port_last, text.substr(dash + 1));
}

bool read_transports(Config& config, std::string_view text) {
  config.transports.clear();
  while (true) {
    const std::size_t comma = text.find(',');
    config.transports.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

bool valid_transports(const Config& config) {
  const std::vector<std::string>& given = config.transports;
  const auto acceptable = [&given](const std::string& name) {
    return std::count(kTransports.begin(), kTransports.end(), name) == 1 &&
           std::count(given.begin(), given.end(), name) == 1;
  };
  return !given.empty() && std::all_of(given.begin(), given.end(), acceptable);
}

std::string show_transports(const Config& config) {
  std::string text;
  for (const std::string& name : config.transports) text += (text.empty() ? "" : ",") + name;
  return text;
}

bool read_algorithm(Config& config, std::string_view text) {
  const auto algorithm = algorithm_from(text);
  if (algorithm) config.algorithm = *algorithm;
  return algorithm.has_value();
}

bool read_ib_notify(Config& config, std::string_view text) {
  const auto notify = ib_notify_from(text);
  if (notify) config.ib_notify = *notify;
  return notify.has_value();
}

bool read_ib_connect(Config& config, std::string_view text) {
  const auto connect = ib_connect_from(text);
  if (connect) config.ib_connect = *connect;
  return connect.has_value();
}

bool valid_algorithm(const Config& config) {
  return config.algorithm <= Algorithm::one_shot;
}

bool valid_segment(const Config& config) {
  if (config.segment_bytes == 0) return true;
  return within(config.segment_bytes, kMinSegmentBytes, kMaxSegmentBytes) &&
         config.segment_bytes % kSegmentMultiple == 0;
}

bool valid_ports(const Config& config) {
  const bool any = config.port_first == 0 && config.port_last == 0;
  return any || (config.port_first > 0 && config.port_first <= config.port_last);
}

// Ranks must not write over each other's.
bool valid_trace(const Config& config) {
  return is_path_pattern(config.trace_file) && (config.trace_file.empty() || config.size == 1 ||
                                                config.trace_file.find("%r") != std::string::npos);
}

// A name of the kernel's: no blanks, no slash, short.
bool valid_name(const std::string& name, std::size_t longest) {
  return name.size() <= longest && name.find_first_of(" \t\n/") == std::string::npos;
}

// Some launchers tell it over their channel only.
bool size_is_asked_for(const Config& config) {
  return config.size == 0 && !config.channel.empty();
}

bool read_text(std::string& field, std::string_view text) {
  field = text;
  return true;
}

using C = Config;
using Text = std::string_view;

constexpr std::array kVariables = {
    Variable{
        "PACELINE_RANK", "rank", "0..size-1, with PACELINE_SIZE set too",
        "This process's number. Wins over what a launcher says.",
        [](C& c, Text t) { return read_number<int>(c.rank, t); },
        [](const C& c) { return within(c.rank, 0, size_is_asked_for(c) ? kMaxSize : c.size - 1); },
        [](const C& c) { return std::to_string(c.rank); }},
    Variable{"PACELINE_SIZE", "size", "1..1048576, with PACELINE_RANK set too",
             "How many ranks there are.", [](C& c, Text t) { return read_number<int>(c.size, t); },
             [](const C& c) { return size_is_asked_for(c) || within(c.size, 1, kMaxSize); },
             [](const C& c) { return std::to_string(c.size); }},
    Variable{"PACELINE_ROOT", "root", "host:port or [v6 address]:port, port 1..65535",
             "Where rank 0 listens for the others. Wins over the meeting place of any launcher; "
             "needed where there is no launcher.",
             [](C& c, Text t) { return read_text(c.root, t); },
             [](const C& c) { return c.root.empty() || host_port_from(c.root).has_value(); },
             [](const C& c) { return c.root; }},
    Variable{"PACELINE_SECRET", "secret", "16..4096 bytes",
             "What the ranks of one job share and nobody else knows. Without one, and without a "
             "launcher that hands one out, only loopback addresses are served.",
             [](C& c, Text t) { return read_text(c.secret, t); },
             [](const C& c) {
               return c.secret.empty() || within(c.secret.size(), kMinSecret, kMaxSecret);
             },
             [](const C& c) {
               return c.secret.empty() ? "" : "of " + std::to_string(c.secret.size()) + " bytes";
             }},
    Variable{"PACELINE_INTERFACE", "interface_name",
             "the name of a network interface, as in ip link",
             "The interface whose address the links use. Empty: the one that routes to the root.",
             [](C& c, Text t) { return read_text(c.interface_name, t); },
             [](const C& c) { return valid_name(c.interface_name, kMaxInterfaceName); },
             [](const C& c) { return c.interface_name; }},
    Variable{"PACELINE_PORTS", "port_first, port_last",
             "first-last with 1 <= first <= last <= 65535, or 0-0 for any",
             "TCP ports that may be listened on, for hosts behind a firewall.", read_ports,
             valid_ports,
             [](const C& c) {
               return std::to_string(c.port_first) + "-" + std::to_string(c.port_last);
             }},
    Variable{"PACELINE_HOST_ID", "host_id", "up to 128 bytes",
             "Ranks with equal host ids use shared memory. Empty: boot id and network namespace. "
             "Setting it makes several hosts out of one machine.",
             [](C& c, Text t) { return read_text(c.host_id, t); },
             [](const C& c) { return c.host_id.size() <= kMaxHostId; },
             [](const C& c) { return c.host_id; }},
    Variable{"PACELINE_TRANSPORT", "transports",
             "a comma-separated list out of shm,verbs,tcp, each "
             "at most once, no blanks",
             "The wires that may be used. A pair of ranks takes the first of shm, verbs, tcp that "
             "is allowed and works between them.",
             read_transports, valid_transports, show_transports},
    Variable{"PACELINE_IB_DEVICE", "ib_device", "the name of an RDMA device, as in ibv_devices",
             "The RDMA device to use. Empty: the first usable one.",
             [](C& c, Text t) { return read_text(c.ib_device, t); },
             [](const C& c) { return valid_name(c.ib_device, kMaxDeviceName); },
             [](const C& c) { return c.ib_device; }},
    Variable{"PACELINE_IB_GID_INDEX", "ib_gid_index", "0..255",
             "The RoCE GID to use. Unset: chosen from the device's table.",
             [](C& c, Text t) { return read_number<int>(c.ib_gid_index, t); },
             [](const C& c) { return within(c.ib_gid_index.value_or(0), 0, kMaxGidIndex); },
             [](const C& c) { return c.ib_gid_index ? std::to_string(*c.ib_gid_index) : ""; }},
    Variable{"PACELINE_IB_NOTIFY", "ib_notify", "auto, immediate or send",
             "How RDMA links say that data has arrived: as the immediate of a write, or by a send "
             "after it, which every device can do. auto takes immediates where both ends have "
             "them.",
             read_ib_notify, [](const C& c) { return to_string(c.ib_notify) != "?"; },
             [](const C& c) { return std::string(to_string(c.ib_notify)); }},
    Variable{
        "PACELINE_IB_CONNECT", "ib_connect", "auto, exchange or cm",
        "How RDMA links connect: by an exchange over TCP, or by rdma-core's connection manager "
        "(cm), which iWARP needs. auto takes the manager for iWARP only. Both ends must come "
        "to the same.",
        read_ib_connect, [](const C& c) { return to_string(c.ib_connect) != "?"; },
        [](const C& c) { return std::string(to_string(c.ib_connect)); }},
    Variable{"PACELINE_TCP_LINKS", "tcp_links", "1..8", "Parallel TCP streams per pair of ranks.",
             [](C& c, Text t) { return read_number<int>(c.tcp_links, t); },
             [](const C& c) { return within(c.tcp_links, 1, kMaxLinks); },
             [](const C& c) { return std::to_string(c.tcp_links); }},
    Variable{"PACELINE_TCP_CONGESTION", "tcp_congestion",
             "a name out of /proc/sys/net/ipv4/tcp_allowed_congestion_control",
             "The congestion control of TCP links. Empty: the system's. See tuning.md.",
             [](C& c, Text t) { return read_text(c.tcp_congestion, t); },
             [](const C& c) { return valid_name(c.tcp_congestion, kMaxCongestionName); },
             [](const C& c) { return c.tcp_congestion; }},
    Variable{
        "PACELINE_ALGORITHM", "algorithm",
        "automatic, ring, recursive_doubling, direct, binomial, halving_doubling, tree, bruck, "
        "scatter_all_gather, hierarchical or one_shot",
        "How those collectives run that offer it. The others, and all with automatic, take what "
        "the "
        "cost model predicts to be the fastest, alike on every rank.",
        read_algorithm, valid_algorithm,
        [](const C& c) { return std::string(to_string(c.algorithm)); }},
    Variable{"PACELINE_EAGER_BYTES", "eager_bytes", "0..131072",
             "Up to this many bytes travel as messages, without being announced first; where ranks "
             "are linked by shared memory or RDMA, 4096 at most, and in shared memory 2048 of what "
             "an algorithm cuts into pieces, unless ranks share cores.",
             [](C& c, Text t) { return read_number<std::size_t>(c.eager_bytes, t); },
             [](const C& c) { return c.eager_bytes <= kMaxEagerBytes; },
             [](const C& c) { return std::to_string(c.eager_bytes); }},
    Variable{"PACELINE_TUNING", "tuning", "a path of at most 4095 bytes",
             "A file with parameters of the cost model and rules that override it, see tuning.md. "
             "Only rank 0 reads it, and hands it out. Empty: the built-in parameters.",
             [](C& c, Text t) { return read_text(c.tuning, t); },
             [](const C& c) { return c.tuning.size() <= kMaxPath; },
             [](const C& c) { return c.tuning; }},
    Variable{"PACELINE_SEGMENT_BYTES", "segment_bytes",
             "4096..16777216, a multiple of 64, or 0 for the cost model's choice",
             "Bytes of one rank's share in one turn of the pipeline.",
             [](C& c, Text t) { return read_number<std::size_t>(c.segment_bytes, t); },
             valid_segment, [](const C& c) { return std::to_string(c.segment_bytes); }},
    Variable{"PACELINE_LANES", "lanes", "1..8, or 0 for the cost model's choice",
             "Parallel pipelines.", [](C& c, Text t) { return read_number<int>(c.lanes, t); },
             [](const C& c) { return within(c.lanes, 0, kMaxLinks); },
             [](const C& c) { return std::to_string(c.lanes); }},
    Variable{"PACELINE_TIMEOUT", "timeout", "0.001..604800 seconds (a week), fractions allowed",
             "How long one operation may take before it fails, and how long the ranks may take to "
             "meet.",
             [](C& c, Text t) { return read_seconds(c.timeout, t); },
             [](const C& c) { return within(c.timeout, kMinTimeout, kMaxTime); },
             [](const C& c) { return show_seconds(c.timeout); }},
    Variable{"PACELINE_HEARTBEAT_TIMEOUT", "heartbeat_timeout",
             "0.1..604800 seconds (a week), fractions allowed",
             "A rank whose control link is silent for this long counts as failed.",
             [](C& c, Text t) { return read_seconds(c.heartbeat_timeout, t); },
             [](const C& c) { return within(c.heartbeat_timeout, kMinHeartbeat, kMaxTime); },
             [](const C& c) { return show_seconds(c.heartbeat_timeout); }},
    Variable{"PACELINE_LOG", "log_level, log_components",
             "off, error, warning, info, debug or trace, then ,part=level for each of bootstrap, "
             "shm, tcp, verbs, engine, memory, communicator that differs",
             "How much is logged, for example info,bootstrap=debug.",
             [](C& c, Text t) { return read_log_levels(c, t); }, [](const C&) { return true; },
             show_log_levels},
    Variable{"PACELINE_LOG_FILE", "log_file",
             "a path in which % stands before r, h, p, c or % only",
             "Where the log goes: %r is the rank, %h the host, %p the process id, %c the "
             "communicator's name. Empty: stderr.",
             [](C& c, Text t) { return read_text(c.log_file, t); },
             [](const C& c) { return is_path_pattern(c.log_file); },
             [](const C& c) { return c.log_file; }},
    Variable{"PACELINE_HISTORY", "history", "64..65536",
             "How many of its last calls a communicator remembers, at 64 bytes each.",
             [](C& c, Text t) { return read_number<std::size_t>(c.history, t); },
             [](const C& c) { return within(c.history, kMinHistory, kMaxHistory); },
             [](const C& c) { return std::to_string(c.history); }},
    Variable{
        "PACELINE_TRACE", "trace_file",
        "a path in which % stands before r, h, p, c or % only, with %r where there are several "
        "ranks",
        "Where a communicator writes its last calls when it ends, for chrome://tracing and "
        "Perfetto.",
        [](C& c, Text t) { return read_text(c.trace_file, t); }, valid_trace,
        [](const C& c) { return c.trace_file; }},
};

}  // namespace

std::span<const Variable> variables() {
  return kVariables;
}

}  // namespace paceline
