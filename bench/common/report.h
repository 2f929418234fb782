// What rank 0 tells: the header, the table as it grows, the foot, and the same as JSON.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/table.h"

namespace paceline::bench {

/// What the header says, line by line: "wires" -> "shm 6 pairs".
using Facts = std::vector<std::pair<std::string, std::string>>;

inline nlohmann::ordered_json to_json(const Figures& figures, bool percentiles) {
  nlohmann::ordered_json json = {{"time_us", figures.time},
                                 {"algbw_gb_s", figures.algorithm_rate},
                                 {"busbw_gb_s", figures.bus_rate}};
  if (figures.wrong) json["wrong"] = *figures.wrong;
  if (percentiles) {
    json["median_us"] = figures.median;
    json["p99_us"] = figures.p99;
  }
  return json;
}

inline nlohmann::ordered_json to_json(const Row& row, bool percentiles) {
  nlohmann::ordered_json json = {{"size", row.bytes},
                                 {"count", row.count},
                                 {"type", row.type},
                                 {"redop", row.op},
                                 {"root", row.root},
                                 {"algorithm", row.algorithm},
                                 {"out_of_place", to_json(row.out_of_place, percentiles)}};
  if (row.has_in_place) json["in_place"] = to_json(row.in_place, percentiles);
  return json;
}

/// Silent on every rank but rank 0.
class Report {
 public:
  Report(bool speaks, bool percentiles, std::string json_path)
      : speaks_(speaks),
        percentiles_(percentiles),
        progress_(speaks && ::isatty(STDERR_FILENO) == 1),
        json_path_(std::move(json_path)) {}

  void begin(const Facts& facts) {
    if (!speaks_) return;
    for (const auto& [name, value] : facts) {
      std::printf("# %-10s %s\n", name.c_str(), value.c_str());
      json_[name] = value;
    }
    std::printf("#\n%s", table_head(percentiles_).c_str());
    std::fflush(stdout);
  }

  /// What is being done now, for somebody who watches a terminal.
  void progress(const std::string& text) {
    if (progress_) std::fprintf(stderr, "\r\033[K%s", text.c_str());
  }

  void row(const Row& row) {
    for (const Figures* figures : {&row.out_of_place, &row.in_place}) {
      if (figures == &row.in_place && !row.has_in_place) continue;
      wrong_ += figures->wrong.value_or(0);
      bus_rates_ += figures->bus_rate;
      ++measurements_;
    }
    if (!speaks_) return;
    progress("");
    std::printf("%s", table_row(row, percentiles_).c_str());
    std::fflush(stdout);
    json_["rows"].push_back(to_json(row, percentiles_));
  }

  /// Prints the foot and writes the file; the number of wrong elements.
  std::uint64_t end() {
    if (!speaks_) return wrong_;
    const double average = measurements_ == 0 ? 0 : bus_rates_ / measurements_;
    std::printf("%s", table_foot(wrong_, average).c_str());
    std::fflush(stdout);
    if (json_path_.empty()) return wrong_;
    json_["wrong"] = wrong_;
    json_["average_busbw_gb_s"] = average;
    std::ofstream file(json_path_);
    file << json_.dump(2) << "\n";
    if (!file.flush()) throw std::runtime_error("cannot write " + json_path_);
    return wrong_;
  }

 private:
  bool speaks_;
  bool percentiles_;
  bool progress_;
  std::string json_path_;
  nlohmann::ordered_json json_;
  std::uint64_t wrong_ = 0;
  double bus_rates_ = 0;
  int measurements_ = 0;
};

}  // namespace paceline::bench
