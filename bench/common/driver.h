// The course of every *_perf program: for each type, operation and size, time the call out of
// place and in place, and then, in a run of its own, check every element on every rank.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "common/across_ranks.h"
#include "common/operation.h"
#include "common/options.h"
#include "common/report.h"
#include "common/statistics.h"
#include "paceline/paceline.hpp"

namespace paceline::bench {

/// Memory for one buffer, touched, from either source.
class Buffer {
 public:
  Buffer(Communicator& comm, MemorySource source, std::size_t bytes) {
    if (source == MemorySource::allocate) {
      registered_ = comm.allocate(std::max<std::size_t>(bytes, 1));
      data_ = registered_.data();
    } else {
      constexpr std::size_t kPage = 4096;
      plain_.reset(std::aligned_alloc(kPage, bytes / kPage * kPage + kPage));
      if (plain_ == nullptr) throw std::bad_alloc();
      data_ = static_cast<std::byte*>(plain_.get());
    }
    std::memset(data_, 0, bytes);
  }
  [[nodiscard]] std::byte* data() const { return data_; }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  Memory registered_;
  std::unique_ptr<void, Free> plain_;
  std::byte* data_ = nullptr;
};

class Driver {
 public:
  /// Without a collective: a send and a recv.
  Driver(Communicator& comm, std::optional<Collective> collective, const Options& options)
      : comm_(comm),
        collective_(collective),
        options_(options),
        report_(comm.rank() == 0, options.percentiles, options.json),
        in_(comm, options.memory, options.sizes().back()),
        out_(comm, options.memory, options.sizes().back()) {}

  /// The number of wrong elements over all ranks; the same on each.
  std::uint64_t run(const std::string& program) {
    report_.begin(facts(program));
    for (const DataType type : options_.types) {
      for (const ReduceOp op : options_.ops) {
        if (!offers(op, type)) continue;
        for (const std::uint64_t bytes : options_.sizes()) measure(type, op, bytes);
      }
    }
    return report_.end();
  }

 private:
  using Clock = std::chrono::steady_clock;

  static double microseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  }

  Facts facts(const std::string& program) {
    const int ranks = comm_.size();
    const int hosts = comm_.hosts();
    // Of the whole host: mpirun ties each of few ranks to a core of its own.
    const long cores = ::sysconf(_SC_NPROCESSORS_ONLN);
    std::string note = std::to_string(cores) + " on rank 0's host";
    if (comm_.ranks_on_host() > cores) {
      note += ", for " + std::to_string(comm_.ranks_on_host()) +
              " ranks: times include waiting for a core";
    }
    const bool plain = options_.memory == MemorySource::plain;
    return {{"program", program + ", paceline " + version()},
            {"ranks", std::to_string(ranks) + " on " + std::to_string(hosts) +
                          (hosts == 1 ? " host" : " hosts")},
            {"launcher", launcher_in_use(comm_.config())},
            {"wires", wires_in_use(comm_)},
            {"memory", plain ? "plain (from the C library)" : "allocate (from the library)"},
            {"cores", note},
            {"calls", options_.blocking ? "blocking" : "asynchronous, then wait()"},
            {"time", time_meaning()}};
  }

  // Who said which rank this is, and where the ranks met.
  static std::string launcher_in_use(const Config& config) {
    const std::string name(to_string(config.launcher));
    if (config.size == 1) return name;
    if (!config.root.empty()) return name + ", ranks met at " + config.root;
    // Without the folders of its library.
    const bool pmix = config.channel.starts_with("pmix");
    return name + ", ranks met through " + (pmix ? "pmix" : config.channel);
  }

  std::string time_meaning() const {
    switch (options_.across) {
      case Across::rank0:
        return "rank 0's, mean over calls";
      case Across::average:
        return "average over ranks, mean over calls";
      case Across::min:
        return "min over ranks, mean over calls";
      case Across::max:
        return "max over ranks, mean over calls";
    }
    return "?";
  }

  void measure(DataType type, ReduceOp op, std::uint64_t bytes) {
    const int root = collective_ && has_root(*collective_) ? options_.root : -1;
    const std::unique_ptr<Operation> operation =
        make_operation(comm_, collective_, type, op, std::max(root, 0));
    const auto blocks = static_cast<std::uint64_t>(operation->blocks());
    Row row;
    row.count = bytes / size_of(type) / blocks;
    row.bytes = row.count * size_of(type) * blocks;
    row.type = to_string(type);
    row.op = collective_ && reduces(*collective_) ? to_string(op) : "none";
    row.root = root;
    row.algorithm =
        collective_ ? to_string(comm_.algorithm_for(*collective_, row.count, type)) : "none";
    const std::string what = std::to_string(row.bytes) + " bytes, " + row.type + ", " + row.op;
    row.out_of_place = figures(*operation, row, {in_.data(), out_.data()}, what + ", out of place");
    const Buffers in_place = operation->in_place(in_.data(), row.count);
    row.has_in_place = in_place.in != nullptr;
    if (row.has_in_place) row.in_place = figures(*operation, row, in_place, what + ", in place");
    report_.row(row);
  }

  Figures figures(Operation& operation, const Row& row, const Buffers& buffers,
                  const std::string& what) {
    report_.progress(what + ": timing");
    // All values are whole numbers: repeated in place, sums and products grow, to infinity in the
    // end, but never sink below the normal range, where arithmetic would cost time of its own.
    operation.fill(buffers, row.count);
    Figures figures = time(operation, row.count, buffers);
    figures.algorithm_rate = gigabytes_per_second(static_cast<double>(row.bytes), figures.time);
    figures.bus_rate = figures.algorithm_rate * wires_share();
    if (options_.check) {
      report_.progress(what + ": checking");
      figures.wrong = check(operation, row, buffers);
    }
    return figures;
  }

  // A send carries every byte once.
  [[nodiscard]] double wires_share() const {
    return collective_ ? bus_factor(*collective_, comm_.size()) : 1.0;
  }

  void call(Operation& operation, std::size_t count, const Buffers& buffers) {
    if (options_.blocking) {
      operation.call(buffers, count);
    } else {
      operation.start(buffers, count).wait();
    }
  }

  Figures time(Operation& operation, std::size_t count, const Buffers& buffers) {
    for (std::uint64_t i = 0; i < options_.warmups; ++i) call(operation, count, buffers);
    const std::size_t iterations =
        options_.iterations > 0
            ? options_.iterations
            : iterations_for(kGoalMicroseconds, probe(operation, count, buffers));
    std::vector<double> each(options_.percentiles ? iterations : 0);
    comm_.barrier();
    const Clock::time_point start = Clock::now();
    if (options_.percentiles) {
      for (double& one : each) {
        const Clock::time_point begin = Clock::now();
        call(operation, count, buffers);
        one = microseconds_since(begin);
      }
    } else {
      for (std::size_t i = 0; i < iterations; ++i) call(operation, count, buffers);
    }
    const double all = microseconds_since(start);

    Figures figures;
    figures.time = combine(comm_, all / static_cast<double>(iterations), options_.across);
    if (options_.percentiles) {
      combine(comm_, each, options_.across);
      figures.median = percentile(each, 0.5);
      figures.p99 = percentile(each, 0.99);
    }
    return figures;
  }

  // How long a call takes, roughly, and alike on all ranks.
  double probe(Operation& operation, std::size_t count, const Buffers& buffers) {
    constexpr int kCalls = 3;
    comm_.barrier();
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < kCalls; ++i) call(operation, count, buffers);
    return combine(comm_, microseconds_since(start) / kCalls, Across::max);
  }

  // The output is spoilt first, so that what an earlier run left there cannot pass for a result.
  std::uint64_t check(Operation& operation, const Row& row, const Buffers& buffers) {
    constexpr int kSpoilt = 0xff;
    std::memset(buffers.out, kSpoilt, operation.output_bytes(row.count));
    operation.fill(buffers, row.count);
    call(operation, row.count, buffers);
    return total(comm_, operation.check(buffers, row.count));
  }

  Communicator& comm_;
  const std::optional<Collective> collective_;
  const Options& options_;
  Report report_;
  Buffer in_;
  Buffer out_;
};

}  // namespace paceline::bench
