// How every library is measured. An adapter is a program that says how one library is called, and
// includes this: nothing of what follows differs from library to library.
//
// For each collective and size:
//   1. The inputs are filled with small whole numbers, whose sums are exact in float32 in any
//      order, and the outputs with what no result has; a call; every element is checked.
//   2. Before the first size of all, calls for two budgets: launchers and libraries still have
//      things to do in the beginning. Then more and more calls, until they take a tenth of the
//      budget: they warm up, and say how many calls it has room for.
//   3. Latency: the ranks meet, then each makes the call and takes its time. The slowest rank's
//      time is the call's; the median of the calls is reported, and the smallest.
//   4. Back to back: so many calls one after the other; the slowest rank's time by their number, as
//      nccl-tests do it. The processor time that all threads of all ranks spend on this is counted.
//   5. As the first.
// Before 3 and after 4, two ranks with a core each hand a cache line to and fro: where the host
// moves the cores of a virtual machine, that says how far from each other they were. The longer
// time is reported.
//
// "bytes" is nccl-tests' size: that of the longer one of a rank's two buffers. With --tensors N, a
// call is N all_reduces of that size, each of buffers of its own.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "common/data.h"
#include "common/statistics.h"
#include "compare/arguments.h"
#include "compare/meeting.h"

namespace paceline::compare {

/// One call, of the collective's own count: elements of one block. In place, `in` and `out` are in
/// one buffer: the same, or the shorter one is the own block of the longer one. A broadcast is from
/// rank 0 and always in place. Reductions are sums.
struct Call {
  Collective collective = Collective::all_reduce;
  bool in_place = false;
  const float* in = nullptr;
  float* out = nullptr;
  std::size_t count = 0;
};

class Library {
 public:
  Library() = default;
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  virtual ~Library() = default;

  [[nodiscard]] virtual bool offers(Collective /*collective*/, bool /*in_place*/) const {
    return true;
  }
  /// Memory for a buffer, which lives as long as the library; from the C library unless the
  /// library that is measured has a better kind. All ranks ask for the same, in the same order.
  [[nodiscard]] virtual std::byte* allocate(std::size_t bytes) {
    constexpr std::size_t kPage = 4096;
    buffers_.emplace_back(std::aligned_alloc(kPage, (bytes + kPage) / kPage * kPage));
    if (buffers_.back() == nullptr) throw std::bad_alloc();
    return static_cast<std::byte*>(buffers_.back().get());
  }
  /// Whatever may be done once for many calls; not timed.
  virtual void prepare(const Call& /*call*/) {}
  virtual void call(const Call& call) = 0;
  /// Several of the same size, none of which needs another's result: one by one, unless the library
  /// has something for that.
  virtual void call_all(const std::vector<Call>& calls) {
    for (const Call& one : calls) call(one);
  }
  /// Where the result is to be found: MPI has an opinion of its own about one of them.
  [[nodiscard]] virtual const float* result(const Call& call) const { return call.out; }
  /// False for what moves bytes without a result: a limit.
  [[nodiscard]] virtual bool has_result() const { return true; }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::vector<std::unique_ptr<void, Free>> buffers_;
};

/// What programs do whose library has nothing for many small calls: they copy the tensors into one
/// buffer, call once, and copy the results back.
class Fused final : public Library {
 public:
  explicit Fused(std::unique_ptr<Library> library) : library_(std::move(library)) {}

  [[nodiscard]] bool offers(Collective collective, bool in_place) const override {
    return collective == Collective::all_reduce && library_->offers(collective, in_place);
  }
  [[nodiscard]] std::byte* allocate(std::size_t bytes) override {
    in_ = reinterpret_cast<float*>(library_->allocate(bytes));  // as long as all tensors together
    out_ = reinterpret_cast<float*>(library_->allocate(bytes));
    return library_->allocate(bytes);
  }
  void call(const Call& call) override { library_->call(call); }
  void call_all(const std::vector<Call>& calls) override {
    const std::size_t count = calls.front().count;
    const std::size_t bytes = count * sizeof(float);
    for (std::size_t i = 0; i < calls.size(); ++i) {
      std::memcpy(in_ + i * count, calls[i].in, bytes);
    }
    library_->call({Collective::all_reduce, false, in_, out_, calls.size() * count});
    for (std::size_t i = 0; i < calls.size(); ++i) {
      std::memcpy(calls[i].out, out_ + i * count, bytes);
    }
  }

 private:
  std::unique_ptr<Library> library_;
  float* in_ = nullptr;
  float* out_ = nullptr;
};

class Course {
 public:
  Course(Library& library, Meeting& meeting, double budget_us, bool in_place, std::size_t tensors,
         std::FILE* results)
      : library_(library),
        meeting_(meeting),
        budget_us_(budget_us),
        in_place_(in_place),
        tensors_(tensors),
        results_(results) {}

  /// The number of wrong elements over all ranks; the same on each.
  std::uint64_t run(const std::vector<Collective>& collectives,
                    const std::vector<std::size_t>& sizes) {
    const std::size_t most = tensors_ * *std::max_element(sizes.begin(), sizes.end());
    in_ = library_.allocate(most);
    out_ = library_.allocate(most);
    std::memset(in_, 0, most);
    std::memset(out_, 0, most);
    std::uint64_t wrong = 0;
    for (const Collective collective : collectives) {
      const bool in_place = in_place_ || collective == Collective::broadcast;
      if (!library_.offers(collective, in_place)) {
        write("{\"collective\":\"%s\",\"not_offered\":true}\n", name_of(collective));
        continue;
      }
      for (const std::size_t bytes : sizes) {
        const Blocks blocks = blocks_of(collective, meeting_.rank(), meeting_.ranks(), 0);
        const auto longer = static_cast<std::size_t>(std::max(blocks.input, blocks.output));
        const std::size_t count = bytes / sizeof(float) / longer;
        // Too small to have an element for everybody.
        if (count > 0) wrong += measure(collective, in_place, bytes, count);
      }
    }
    return wrong;
  }

 private:
  struct Figures {
    double time_us = 0;  // per call, of the slowest rank
    double cpu_s = 0;    // of all ranks, for all calls
  };

  std::uint64_t measure(Collective collective, bool in_place, std::size_t bytes,
                        std::size_t count) {
    const bench::Data<float> data(collective, ReduceOp::sum, 0, meeting_.rank(), meeting_.ranks());
    calls_.clear();
    for (std::size_t tensor = 0; tensor < tensors_; ++tensor) {
      calls_.push_back(place(collective, in_place, count, tensor * bytes));
      library_.prepare(calls_.back());
    }
    std::uint64_t wrong = check(data, bytes);
    warm_up();
    const std::size_t calls = calibrate();
    const double line_ns = meeting_.crossing_ns();
    const std::vector<double> latencies = latency(std::min(calls, Meeting::kSamples));
    const Figures row = back_to_back(calls);
    const double line_ns_after = meeting_.crossing_ns();
    wrong += check(data, bytes);
    const auto total = static_cast<std::uint64_t>(meeting_.sum(static_cast<double>(wrong)));
    const double gigabytes =
        static_cast<double>(bytes * tensors_) * static_cast<double>(calls) * 1e-9;
    write(
        "{\"collective\":\"%s\",\"bytes\":%zu,\"latency_us\":%.4f,\"latency_min_us\":%.4f,"
        "\"back_to_back_us\":%.4f,\"calls\":%zu,\"cpu_s_per_gb\":%.6f,\"line_ns\":%.1f,"
        "\"errors\":%llu}\n",
        name_of(collective), bytes, bench::percentile(latencies, 0.5),
        bench::percentile(latencies, 1e-9), row.time_us, calls, row.cpu_s / gigabytes,
        std::max(line_ns, line_ns_after), static_cast<unsigned long long>(total));
    return total;
  }

  [[nodiscard]] Call place(Collective collective, bool in_place, std::size_t count,
                           std::size_t offset) const {
    auto* const in = reinterpret_cast<float*>(in_ + offset);
    auto* const out = reinterpret_cast<float*>(out_ + offset);
    if (!in_place) return {collective, false, in, out, count};
    const Blocks blocks = blocks_of(collective, meeting_.rank(), meeting_.ranks(), 0);
    float* const own = out + static_cast<std::size_t>(meeting_.rank()) * count;
    return {collective, true, blocks.input < blocks.output ? own : out,
            blocks.output < blocks.input ? own : out, count};
  }

  void make_call() {
    if (tensors_ == 1) {
      library_.call(calls_.front());
    } else {
      library_.call_all(calls_);
    }
  }

  std::uint64_t check(const bench::Data<float>& data, std::size_t bytes) {
    std::memset(out_, 0xff, bytes * tensors_);  // NaN, which no result is
    for (const Call& call : calls_) data.fill(const_cast<float*>(call.in), call.count);
    meeting_.barrier();
    make_call();
    meeting_.barrier();
    std::uint64_t wrong = 0;
    for (const Call& call : calls_) {
      if (library_.has_result()) wrong += data.wrong(library_.result(call), call.count);
    }
    return wrong;
  }

  void warm_up() {
    constexpr double kBudgets = 2;
    const double start = now_us();
    while (!warm_) {
      back_to_back(1);
      warm_ = meeting_.largest(now_us() - start) > kBudgets * budget_us_;
    }
  }

  std::size_t calibrate() {
    constexpr double kShare = 0.1;          // of the budget
    constexpr std::size_t kFewest = 5;      // below, a single hiccup decides
    constexpr std::size_t kMost = 100'000;  // above, nothing changes any more
    constexpr double kShortest = 0.01;      // a call of which the clock says that it took nothing
    for (std::size_t calls = 1;; calls *= 4) {
      const double each = std::max(back_to_back(calls).time_us, kShortest);
      if (each * static_cast<double>(calls) < kShare * budget_us_ && calls < kMost) continue;
      return std::clamp(static_cast<std::size_t>(budget_us_ / each), kFewest, kMost);
    }
  }

  std::vector<double> latency(std::size_t calls) {
    double* const mine = meeting_.samples(meeting_.rank());
    for (std::size_t i = 0; i < calls; ++i) {
      meeting_.barrier();
      const double start = now_us();
      make_call();
      mine[i] = now_us() - start;
    }
    meeting_.barrier();
    std::vector<double> slowest(mine, mine + calls);
    for (int rank = 0; rank < meeting_.ranks(); ++rank) {
      const double* const theirs = meeting_.samples(rank);
      for (std::size_t i = 0; i < calls; ++i) slowest[i] = std::max(slowest[i], theirs[i]);
    }
    meeting_.barrier();
    return slowest;
  }

  Figures back_to_back(std::size_t calls) {
    meeting_.barrier();
    const double cpu = cpu_seconds();
    const double start = now_us();
    for (std::size_t i = 0; i < calls; ++i) make_call();
    const double mine = (now_us() - start) / static_cast<double>(calls);
    const double spent = cpu_seconds() - cpu;
    return {meeting_.largest(mine), meeting_.sum(spent)};
  }

  static double now_us() {
    return std::chrono::duration<double, std::micro>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

  // Of all threads of this process.
  static double cpu_seconds() {
    rusage usage = {};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }

  template <class... Values>
  void write(const char* form, Values... values) {
    if (meeting_.rank() != 0) return;
    std::fprintf(results_, form, values...);
    std::fflush(results_);  // whoever ends a library that hangs keeps what was done before
  }

  Library& library_;
  Meeting& meeting_;
  const double budget_us_;
  const bool in_place_;
  const std::size_t tensors_;
  std::FILE* const results_;
  std::vector<Call> calls_;  // one for each tensor
  bool warm_ = false;
  std::byte* in_ = nullptr;
  std::byte* out_ = nullptr;
};

/// The main() of an adapter. `make` starts the library, from the arguments and this rank's number,
/// and returns a std::unique_ptr to it. The exit status is 0 also where results are wrong: the
/// results say so.
template <class Make>
int adapter_main(int argc, const char* const* argv, Make make) {
  try {
    const Arguments arguments(argc, argv);
    const int rank = arguments.rank();
    pin(rank, arguments.numbers("cpus"));
    const int ranks = static_cast<int>(arguments.number("ranks"));
    const Shared shared(arguments.text("meeting"), Meeting::bytes_for(ranks));
    Meeting meeting(shared, rank, ranks, waiting_named(arguments.text("wait", "spin")));
    std::unique_ptr<Library> library = make(arguments, rank);
    if (arguments.text("fused", "no") == "yes")
      library = std::make_unique<Fused>(std::move(library));
    std::vector<Collective> collectives;
    for (const std::string& name : arguments.list("collectives")) {
      collectives.push_back(collective_named(name));
    }
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> results(
        std::fopen(arguments.text("results").c_str(), "a"), &std::fclose);
    if (results == nullptr) throw std::runtime_error("cannot write " + arguments.text("results"));
    Course(*library, meeting, 1e3 * static_cast<double>(arguments.number("budget-ms")),
           arguments.text("in-place", "no") == "yes", std::stoul(arguments.text("tensors", "1")),
           results.get())
        .run(collectives, arguments.numbers("sizes"));
    meeting.barrier();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argc > 0 ? argv[0] : "adapter", error.what());
    return 1;
  }
}

}  // namespace paceline::compare
