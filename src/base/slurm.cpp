#include "base/slurm.h"

namespace paceline {
namespace {

// A list's entries are separated by commas, and a part in brackets is itself a list of numbers and
// ranges: "rack[1-2]node[03,5-7]". The first host takes the first number of every bracket, with its
// leading zeros, which belong to the name.

// What a kernel or a name service takes for a host's name, and a bit more.
constexpr std::size_t kLongestHost = 255;

bool digit(char c) {
  return '0' <= c && c <= '9';
}

bool part_of_a_name(char c) {
  return digit(c) || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || c == '-' || c == '.' ||
         c == '_';
}

// "03,5-7" -> "03"; empty if the brackets hold anything but numbers and ranges.
std::string_view first_number_of(std::string_view inside) {
  std::size_t first = 0;
  while (first < inside.size() && digit(inside[first])) ++first;
  bool after_digit = false;
  for (const char c : inside) {
    const bool separates = c == ',' || c == '-';
    if (!digit(c) && !(separates && after_digit)) return {};
    after_digit = !separates;
  }
  return after_digit ? inside.substr(0, first) : std::string_view{};
}

}  // namespace

std::optional<std::string> first_host_of(std::string_view node_list) {
  std::string host;
  while (!node_list.empty() && node_list.front() != ',') {
    const char c = node_list.front();
    node_list.remove_prefix(1);
    if (c != '[') {
      if (!part_of_a_name(c)) return std::nullopt;
      host += c;
      continue;
    }
    const std::size_t end = node_list.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view number = first_number_of(node_list.substr(0, end));
    if (number.empty()) return std::nullopt;
    host += number;
    node_list.remove_prefix(end + 1);
  }
  if (host.empty() || host.size() > kLongestHost) return std::nullopt;
  return host;
}

std::uint16_t slurm_port(std::uint64_t job, std::uint64_t step) {
  // A job seldom has more steps than this at once, so neighbouring jobs stay clear of each other;
  // prime, so that jobs spread over all the ports.
  constexpr std::uint64_t kStepsPerJob = 61;
  constexpr std::uint64_t kPorts = kSlurmLastPort - kSlurmFirstPort + 1;
  const std::uint64_t offset = (job % kPorts * kStepsPerJob + step % kPorts) % kPorts;
  return static_cast<std::uint16_t>(kSlurmFirstPort + offset);
}

}  // namespace paceline
