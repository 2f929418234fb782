// What nccl-tests prints, so that its readers and their scripts feel at home.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

namespace paceline::bench {

/// One measurement: out of place or in place.
struct Figures {
  double time = 0;                          ///< microseconds per call
  double algorithm_rate = 0;                ///< GB/s: message size over time
  double bus_rate = 0;                      ///< GB/s: what the wires carried over time
  std::optional<std::uint64_t> wrong = {};  ///< elements, over all ranks; empty if not checked
  double median = 0;                        ///< microseconds, if percentiles were asked for
  double p99 = 0;
};

struct Row {
  std::uint64_t bytes = 0;
  std::uint64_t count = 0;
  std::string type;
  std::string op;
  int root = -1;
  Figures out_of_place;
  Figures in_place;
  std::string algorithm;
  bool has_in_place = true;
};

namespace detail {

template <class... Arguments>
std::string format(const char* form, Arguments... arguments) {
  char text[256];
  std::snprintf(text, sizeof text, form, arguments...);
  return text;
}

// nccl-tests' way: as many digits as seven columns have room for.
inline std::string time_text(double microseconds) {
  const int digits = microseconds >= 10'000 ? 0 : microseconds >= 100 ? 1 : 2;
  return format("%7.*f", digits, microseconds);
}

inline std::string figures_text(const Figures& figures) {
  return format("  %7s  %6.2f  %6.2f  %5s", time_text(figures.time).c_str(), figures.algorithm_rate,
                figures.bus_rate, figures.wrong ? std::to_string(*figures.wrong).c_str() : "N/A");
}

inline std::string no_figures_text() {
  return format("  %7s  %6s  %6s  %5s", "N/A", "N/A", "N/A", "N/A");
}

}  // namespace detail

/// Three lines. Behind nccl-tests' columns: the percentiles, if asked for, and the algorithm.
inline std::string table_head(bool percentiles) {
  std::string head;
  head += "#                                                              out-of-place       ";
  head += "                in-place          ";
  head += percentiles ? "       out-of-place          in-place" : "";
  head += "\n#       size         count      type   redop    root     time   algbw   busbw #wrong";
  head += "     time   algbw   busbw #wrong";
  head += percentiles ? "    median       p99    median       p99" : "";
  head += "  algorithm\n";
  head += "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)       ";
  head += "     (us)  (GB/s)  (GB/s)       ";
  head += percentiles ? "      (us)      (us)      (us)      (us)" : "";
  head += "\n";
  return head;
}

inline std::string table_row(const Row& row, bool percentiles) {
  std::string text = detail::format(
      "%12llu  %12llu  %8s  %6s  %6d", static_cast<unsigned long long>(row.bytes),
      static_cast<unsigned long long>(row.count), row.type.c_str(), row.op.c_str(), row.root);
  text += detail::figures_text(row.out_of_place);
  text += row.has_in_place ? detail::figures_text(row.in_place) : detail::no_figures_text();
  if (percentiles) {
    for (const double value :
         {row.out_of_place.median, row.out_of_place.p99, row.in_place.median, row.in_place.p99}) {
      text += "   " + detail::time_text(value);
    }
  }
  return text + "  " + row.algorithm + "\n";
}

/// The two lines that scripts look for.
inline std::string table_foot(std::uint64_t wrong, double average_bus_rate) {
  return detail::format("# Out of bounds values : %llu %s\n",
                        static_cast<unsigned long long>(wrong), wrong == 0 ? "OK" : "FAILED") +
         detail::format("# Avg bus bandwidth    : %g\n", average_bus_rate);
}

}  // namespace paceline::bench
