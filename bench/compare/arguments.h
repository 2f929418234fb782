// What an adapter is started with: pairs of --name and value, which travel through every launcher
// alike, as variables of the environment do not.
#pragma once

#include <sched.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "paceline/types.h"

namespace paceline::compare {

/// The collectives that are compared. Not to_string(): adapters do not link Paceline.
struct Named {
  const char* name;
  Collective collective;
};
inline constexpr Named kCollectives[] = {
    {"all_reduce", Collective::all_reduce}, {"reduce_scatter", Collective::reduce_scatter},
    {"all_gather", Collective::all_gather}, {"all_to_all", Collective::all_to_all},
    {"broadcast", Collective::broadcast},
};

inline const char* name_of(Collective collective) {
  for (const Named& known : kCollectives) {
    if (known.collective == collective) return known.name;
  }
  return "?";
}

inline Collective collective_named(const std::string& name) {
  for (const Named& known : kCollectives) {
    if (name == known.name) return known.collective;
  }
  throw std::invalid_argument("there is no collective \"" + name + "\" to compare");
}

class Arguments {
 public:
  Arguments(int argc, const char* const* argv) {
    for (int i = 1; i < argc; i += 2) {
      const std::string_view name = argv[i];
      if (!name.starts_with("--") || i + 1 == argc) {
        throw std::invalid_argument("arguments are pairs of --name and value, and \"" +
                                    std::string(name) + "\" is not part of one");
      }
      values_[std::string(name.substr(2))] = argv[i + 1];
    }
  }

  [[nodiscard]] std::string text(const std::string& name, const std::string& otherwise) const {
    const auto found = values_.find(name);
    return found == values_.end() ? otherwise : found->second;
  }
  [[nodiscard]] std::string text(const std::string& name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) throw std::invalid_argument("--" + name + " is missing");
    return found->second;
  }
  [[nodiscard]] long number(const std::string& name) const { return whole(name, text(name)); }

  /// The parts of "a,b,c"; none if it is empty or missing.
  [[nodiscard]] std::vector<std::string> list(const std::string& name) const {
    const std::string all = text(name, "");
    std::vector<std::string> parts;
    for (std::size_t begin = 0; begin < all.size();) {
      const std::size_t end = std::min(all.find(',', begin), all.size());
      parts.push_back(all.substr(begin, end - begin));
      begin = end + 1;
    }
    return parts;
  }
  [[nodiscard]] std::vector<std::size_t> numbers(const std::string& name) const {
    std::vector<std::size_t> values;
    for (const std::string& part : list(name)) {
      values.push_back(static_cast<std::size_t>(whole(name, part)));
    }
    return values;
  }

  /// Given, or found in what the launcher has left in the environment. A library that knows it
  /// better is asked later; this one is needed before the library is there, to be pinned.
  [[nodiscard]] int rank() const {
    if (values_.contains("rank")) return static_cast<int>(number("rank"));
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"}) {
      if (const char* value = std::getenv(name)) return static_cast<int>(whole(name, value));
    }
    throw std::invalid_argument("--rank is missing, and no launcher's variable says it");
  }

 private:
  static long whole(const std::string& name, const std::string& text) {
    char* end = nullptr;
    const long value = std::strtol(text.c_str(), &end, 10);
    if (text.empty() || *end != '\0' || value < 0) {
      throw std::invalid_argument(name + " is \"" + text + "\", which is not a whole number");
    }
    return value;
  }

  std::map<std::string, std::string> values_;
};

/// Ties this process to one of `cpus`, in turn; to none if there are none.
inline void pin(int rank, const std::vector<std::size_t>& cpus) {
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpus[static_cast<std::size_t>(rank) % cpus.size()], &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) {
    throw std::runtime_error("this process may not be pinned; see --no-pin");
  }
}

}  // namespace paceline::compare
