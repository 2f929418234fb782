// The course of every *_perf program: for each type, operation and size, time the collective out of
// place and in place, and then, in a run of its own, check every element on every rank.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "common/across_ranks.h"
#include "common/options.h"
#include "common/report.h"
#include "common/statistics.h"
#include "paceline/paceline.hpp"

namespace paceline::bench {

/// One element type and operation of one collective; `count` is what the collective's own count is.
class Operation {
 public:
  virtual ~Operation() = default;
  virtual void call(const void* in, void* out, std::size_t count) = 0;
  virtual void call_and_wait(const void* in, void* out, std::size_t count) = 0;
  /// Fills this rank's input for the check; `check` counts wrong elements of its output.
  virtual void fill(void* in, std::size_t count) = 0;
  [[nodiscard]] virtual std::uint64_t check(const void* out, std::size_t count) = 0;
  [[nodiscard]] virtual Algorithm algorithm(std::size_t count) = 0;
  /// busbw = algbw times this.
  [[nodiscard]] virtual double bus_factor() const = 0;
};

/// A collective under test.
class Subject {
 public:
  virtual ~Subject() = default;
  [[nodiscard]] virtual std::unique_ptr<Operation> prepare(DataType type, ReduceOp op) = 0;
};

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
  Driver(Communicator& comm, Subject& subject, const Options& options)
      : comm_(comm),
        subject_(subject),
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
    const std::unique_ptr<Operation> operation = subject_.prepare(type, op);
    Row row;
    row.count = bytes / size_of(type);
    row.bytes = row.count * size_of(type);
    row.type = to_string(type);
    row.op = to_string(op);
    row.algorithm = to_string(operation->algorithm(row.count));
    const std::string what = std::to_string(row.bytes) + " bytes, " + row.type + ", " + row.op;
    row.out_of_place = figures(*operation, row, out_.data(), what + ", out of place");
    row.in_place = figures(*operation, row, in_.data(), what + ", in place");
    report_.row(row);
  }

  // `out` is the output, or the input's own memory for in place.
  Figures figures(Operation& operation, const Row& row, std::byte* out, const std::string& what) {
    report_.progress(what + ": timing");
    // All values are whole numbers: repeated in place, sums and products grow, to infinity in the
    // end, but never sink below the normal range, where arithmetic would cost time of its own.
    operation.fill(in_.data(), row.count);
    Figures figures = time(operation, row.count, out);
    figures.algorithm_rate = gigabytes_per_second(static_cast<double>(row.bytes), figures.time);
    figures.bus_rate = figures.algorithm_rate * operation.bus_factor();
    if (options_.check) {
      report_.progress(what + ": checking");
      figures.wrong = check(operation, row, out);
    }
    return figures;
  }

  void call(Operation& operation, std::size_t count, std::byte* out) {
    if (options_.blocking) {
      operation.call(in_.data(), out, count);
    } else {
      operation.call_and_wait(in_.data(), out, count);
    }
  }

  Figures time(Operation& operation, std::size_t count, std::byte* out) {
    for (std::uint64_t i = 0; i < options_.warmups; ++i) call(operation, count, out);
    const std::size_t iterations =
        options_.iterations > 0 ? options_.iterations
                                : iterations_for(kGoalMicroseconds, probe(operation, count, out));
    std::vector<double> each(options_.percentiles ? iterations : 0);
    comm_.barrier();
    const Clock::time_point start = Clock::now();
    if (options_.percentiles) {
      for (double& one : each) {
        const Clock::time_point begin = Clock::now();
        call(operation, count, out);
        one = microseconds_since(begin);
      }
    } else {
      for (std::size_t i = 0; i < iterations; ++i) call(operation, count, out);
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
  double probe(Operation& operation, std::size_t count, std::byte* out) {
    constexpr int kCalls = 3;
    comm_.barrier();
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < kCalls; ++i) call(operation, count, out);
    return combine(comm_, microseconds_since(start) / kCalls, Across::max);
  }

  // The output is spoilt first, so that what an earlier run left there cannot pass for a result.
  std::uint64_t check(Operation& operation, const Row& row, std::byte* out) {
    constexpr int kSpoilt = 0xff;
    std::memset(out, kSpoilt, row.bytes);
    operation.fill(in_.data(), row.count);
    call(operation, row.count, out);
    return total(comm_, operation.check(out, row.count));
  }

  Communicator& comm_;
  Subject& subject_;
  const Options& options_;
  Report report_;
  Buffer in_;
  Buffer out_;
};

/// main() of a *_perf program. `make_subject(comm)` gives a std::unique_ptr<Subject>. The exit code
/// is 0 if all is well, 1 if anything was wrong, 2 for an error.
template <class MakeSubject>
int perf_main(int argc, char** argv, const std::string& program, const std::string& description,
              MakeSubject make_subject) {
  int rank = 0;
  try {
    const Config config = Config::from_environment();
    rank = config.rank;
    CLI::App app{description, program};
    Options options;
    add_options(app, options);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      std::ostream silent(nullptr);
      return app.exit(error, rank == 0 ? std::cout : silent, rank == 0 ? std::cerr : silent) == 0
                 ? 0
                 : 2;
    }
    Communicator comm = Communicator::create(config);
    const std::unique_ptr<Subject> subject = make_subject(comm);
    return Driver(comm, *subject, options).run(program) == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << program << ": rank " << rank << ": " << error.what() << std::endl;
    return 2;
  }
}

}  // namespace paceline::bench
