// The command line that the *_perf programs share: nccl-tests' flags as far as they mean anything
// here.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/sizes.h"
#include "common/statistics.h"
#include "paceline/types.h"

namespace paceline::bench {

/// Where the buffers come from.
enum class MemorySource { allocate, plain };

struct Options {
  std::uint64_t begin = 32ULL << 20;
  std::uint64_t end = 32ULL << 20;
  std::uint64_t step = 1ULL << 20;
  std::uint64_t factor = 1;
  std::uint64_t iterations = 0;  ///< 0: as many as fit into kGoalMicroseconds
  std::uint64_t warmups = 5;
  std::vector<ReduceOp> ops = {ReduceOp::sum};
  std::vector<DataType> types = {DataType::float32};
  bool check = true;
  bool blocking = true;
  Across across = Across::max;
  bool percentiles = false;
  MemorySource memory = MemorySource::allocate;
  std::string json;
  int root = 0;

  [[nodiscard]] std::vector<std::uint64_t> sizes() const { return sweep(begin, end, step, factor); }
};

/// What -n defaults to aims at: long enough to average over the scheduler's hiccups, short enough
/// that a whole table takes seconds.
inline constexpr double kGoalMicroseconds = 50'000;

namespace detail {

inline void add_size(CLI::App& app, const std::string& flags, std::uint64_t& target,
                     const std::string& help) {
  app.add_option_function<std::string>(
         flags,
         [&target](const std::string& text) {
           const auto size = size_from(text);
           if (!size) {
             throw CLI::ValidationError("\"" + text +
                                        "\" is not a size; allowed: bytes, or with K, M or G");
           }
           target = *size;
         },
         help)
      ->type_name("SIZE");
}

// A name out of a list, or "all".
template <class Enum, class FromText>
void add_names(CLI::App& app, const std::string& flags, std::vector<Enum>& target,
               std::vector<Enum> all, FromText from, const std::string& help) {
  app.add_option_function<std::string>(
         flags,
         [&target, all, from](const std::string& text) {
           const auto one = from(text);
           const bool known = one && std::find(all.begin(), all.end(), *one) != all.end();
           if (!known && text != "all") {
             std::string names = "all";
             for (const Enum value : all) names += ", " + std::string(to_string(value));
             throw CLI::ValidationError("\"" + text + "\" is unknown; allowed: " + names);
           }
           target = known ? std::vector<Enum>{*one} : all;
         },
         help)
      ->type_name("NAME|all");
}

}  // namespace detail

/// Adds the options to `app`; they are filled in when it parses.
inline void add_options(CLI::App& app, Options& o) {
  detail::add_size(app, "-b,--minbytes", o.begin, "first size [32M]");
  detail::add_size(app, "-e,--maxbytes", o.end, "last size [32M, or the first]");
  detail::add_size(app, "-i,--stepbytes", o.step, "added from size to size [1M]");
  app.add_option("-f,--stepfactor", o.factor, "multiplied from size to size, instead of -i")
      ->check(CLI::NonNegativeNumber);
  app.add_option("-n,--iters", o.iterations,
                 "timed calls per size [as many as take 50 ms, at least 5]")
      ->check(CLI::NonNegativeNumber);
  app.add_option("-w,--warmup_iters", o.warmups, "calls before those [5]")
      ->check(CLI::NonNegativeNumber);
  detail::add_names(
      app, "-o,--op", o.ops,
      {ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max, ReduceOp::avg,
       ReduceOp::premul_sum, ReduceOp::band, ReduceOp::bor, ReduceOp::bxor},
      [](const std::string& text) { return reduce_op_from(text); }, "operation [sum]");
  detail::add_names(
      app, "-d,--datatype", o.types,
      {DataType::int8, DataType::uint8, DataType::int32, DataType::uint32, DataType::int64,
       DataType::uint64, DataType::float16, DataType::bfloat16, DataType::float32,
       DataType::float64, DataType::float8_e4m3, DataType::float8_e5m2, DataType::boolean},
      [](const std::string& text) { return data_type_from(text); }, "element type [float32]");
  app.add_option("-r,--root", o.root, "the root's rank, where there is one [0]")
      ->check(CLI::NonNegativeNumber);
  app.add_option("-c,--check", o.check, "check every element after the timing, 0 or 1 [1]");
  app.add_option("-z,--blocking", o.blocking,
                 "1: the blocking call; 0: the asynchronous one and wait() [1]");
  app.add_option_function<int>(
         "-a,--average", [&o](int value) { o.across = static_cast<Across>(value); },
         "time reported: 0 rank 0's, 1 average, 2 min, 3 max over ranks [3]")
      ->check(CLI::Range(0, 3));
  app.add_flag("--percentiles", o.percentiles,
               "time each call by itself and print median and 99th percentile");
  app.add_option_function<std::string>(
         "--memory",
         [&o](const std::string& text) {
           o.memory = text == "plain" ? MemorySource::plain : MemorySource::allocate;
         },
         "allocate: from the library, the fastest; plain: from the C library [allocate]")
      ->check(CLI::IsMember({"plain", "allocate"}));
  app.add_option("-J,--json", o.json, "write the table to this file too");
  app.final_callback([&app, &o] {
    if (app.count("--minbytes") > 0 && app.count("--maxbytes") == 0) o.end = o.begin;
    if (o.begin > o.end) {
      throw CLI::ValidationError("-b is above -e: there is no size to measure");
    }
    const auto offered = [&o](ReduceOp op) {
      return std::any_of(o.types.begin(), o.types.end(),
                         [op](DataType type) { return offers(op, type); });
    };
    if (std::none_of(o.ops.begin(), o.ops.end(), offered)) {
      throw CLI::ValidationError("-o and -d do not go together: " + std::string(kOffered));
    }
  });
}

}  // namespace paceline::bench
