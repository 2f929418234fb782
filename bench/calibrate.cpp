// Measures the cost model's parameters on the ranks that it is started with, and prints them as a
// tuning file (docs/tuning.md):
//
//   mpirun -n 4 build/bin/paceline_calibrate > tuning
//
// Times of chosen collectives, by chosen algorithms, between two ranks and between all, on one host
// and between hosts: each is predicted by the model as a sum of parameters times known amounts, and
// the parameters are those with which the predictions come nearest (common/fit.h). The amounts are
// the model's own: what it predicts for a machine on which one parameter is 1 and all others are 0.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "collectives/cost.h"
#include "common/across_ranks.h"
#include "common/fit.h"
#include "paceline/paceline.hpp"

namespace paceline::bench {
namespace {

using collectives::CostParameters;
using collectives::Layout;

// One instance in one lane, so that no time is hidden behind another and predictions are sums.
constexpr std::size_t kSegment = 16 << 20;
// More would be cut into instances.
constexpr std::uint64_t kLargest = 2 << 20;

/// What is timed: which parameters it tells apart stands in front of each.
struct Experiment {
  Collective collective;
  Algorithm algorithm;
  std::size_t eager_bytes;
  std::uint64_t bytes;
};
constexpr std::size_t kEager = 4096;
// Those of one algorithm stand together: they share a communicator.
constexpr Experiment kBetweenTwo[] = {
    // eager: one message each way.
    {Collective::all_reduce, Algorithm::recursive_doubling, kEager, 8},
    {Collective::all_gather, Algorithm::bruck, kEager, 8},
    // alpha: an announcement, then one put. gamma: the same, and adding it.
    {Collective::all_reduce, Algorithm::recursive_doubling, 0, 64},
    {Collective::all_reduce, Algorithm::recursive_doubling, 0, 64 << 10},
    {Collective::all_reduce, Algorithm::recursive_doubling, 0, 512 << 10},
    // Two puts of half.
    {Collective::all_reduce, Algorithm::ring, 0, 64},
    {Collective::all_reduce, Algorithm::ring, 0, 512 << 10},
    {Collective::all_reduce, Algorithm::ring, 0, kLargest},
    // beta: a block each way.
    {Collective::all_to_all, Algorithm::direct, 0, 64},
    {Collective::all_to_all, Algorithm::direct, 0, 64 << 10},
    {Collective::all_to_all, Algorithm::direct, 0, 512 << 10},
    {Collective::all_to_all, Algorithm::direct, 0, kLargest},
    // mapped, where it is.
    {Collective::all_reduce, Algorithm::direct, 0, 64 << 10},
    {Collective::all_reduce, Algorithm::direct, 0, 512 << 10},
    {Collective::all_reduce, Algorithm::direct, 0, kLargest},
    {Collective::all_gather, Algorithm::direct, 0, 512 << 10},
};
// gamma: a rank by itself copies. All others that tell of it move as many bytes as they combine or
// copy, so that a disturbed time or two could give one parameter's share to the other.
constexpr Experiment kAlone[] = {
    {Collective::all_reduce, Algorithm::ring, 0, 64 << 10},
    {Collective::all_reduce, Algorithm::ring, 0, 512 << 10},
    {Collective::all_reduce, Algorithm::ring, 0, kLargest},
};
constexpr Experiment kBetweenAll[] = {
    // post: a message to everybody.
    {Collective::all_to_all, Algorithm::direct, kEager, 8},
    {Collective::all_gather, Algorithm::direct, kEager, 8},
    {Collective::reduce_scatter, Algorithm::direct, kEager, 8},
};

enum Parameter : std::size_t { eager, alpha, post, beta, gamma, mapped, kParameters };

/// A level of links on which this parameter alone costs anything. Both levels are alike: only one
/// of them is measured at a time. A rank's port is as fast as a link: two ranks cannot tell.
CostParameters unit(std::size_t parameter) {
  CostParameters p;
  p.inside.eager = parameter == eager;
  p.inside.alpha = parameter == alpha;
  p.inside.post = parameter == post;
  p.inside.beta = p.inside.port = parameter == beta;
  p.gamma = parameter == gamma;
  p.mapped = parameter == mapped;
  return p;
}

Sample sample_of(const Experiment& e, const Layout& layout, double nanoseconds) {
  const collectives::Cut cut{e.eager_bytes, kSegment, 1};
  Sample sample{{}, nanoseconds};
  for (std::size_t i = 0; i < kParameters; ++i) {
    sample.features.push_back(
        collectives::predicted_ns(e.collective, e.algorithm, layout, e.bytes, cut, unit(i)));
  }
  return sample;
}

// --- measuring -----------------------------------------------------------------------------------

/// Buffers of the library, from which everything is fastest.
class Runner {
 public:
  explicit Runner(Communicator& comm)
      : comm_(comm),
        in_(comm.allocate(static_cast<std::size_t>(comm.size()) * kLargest)),
        out_(comm.allocate(static_cast<std::size_t>(comm.size()) * kLargest)) {}

  /// A call takes so long: the least of several averages, of the slowest rank; the same on all.
  double nanoseconds(const Experiment& e) {
    constexpr int kBatches = 9;
    // Short calls are repeated until the clock's own time does not count.
    const int calls = e.bytes <= kEager ? 300 : e.bytes <= (64 << 10) ? 50 : 6;
    std::vector<double> batches;
    for (int batch = 0; batch < kBatches; ++batch) {
      for (int i = 0; i < 2; ++i) call(e);
      comm_.barrier();
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < calls; ++i) call(e);
      const std::chrono::duration<double, std::nano> all = std::chrono::steady_clock::now() - start;
      batches.push_back(combine(comm_, all.count() / calls, Across::max));
    }
    return *std::min_element(batches.begin(), batches.end());
  }

 private:
  void call(const Experiment& e) {
    const std::size_t count = e.bytes / sizeof(float);
    const auto* in = in_.data();
    auto* out = out_.data();
    if (e.collective == Collective::all_reduce) {
      comm_.all_reduce(in, out, count, DataType::float32, ReduceOp::sum);
    } else if (e.collective == Collective::reduce_scatter) {
      comm_.reduce_scatter(in, out, count, DataType::float32, ReduceOp::sum);
    } else if (e.collective == Collective::all_gather) {
      comm_.all_gather(in, out, count, DataType::float32);
    } else {
      comm_.all_to_all(in, out, count, DataType::float32);
    }
  }

  Communicator& comm_;
  Memory in_;
  Memory out_;
};

/// A communicator of some of the ranks that runs as an experiment wants; the other ranks have none.
class Group {
 public:
  /// `color` as for split: ranks of one color measure together, those below 0 do not.
  Group(const Config& base, const Experiment& e, int color)
      : algorithm_(e.algorithm), eager_bytes_(e.eager_bytes), world_(world_for(base, e)) {
    part_ = world_.split(color, 0);
    if (part_) runner_.emplace(*part_);
  }
  ~Group() {
    runner_.reset();
    part_.reset();
    try {
      world_.barrier();  // nobody goes on and disturbs
    } catch (const Error& error) {
      std::cerr << "paceline_calibrate: " << error.what() << std::endl;
    }
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  [[nodiscard]] bool suits(const Experiment& e) const {
    return e.algorithm == algorithm_ && e.eager_bytes == eager_bytes_;
  }
  [[nodiscard]] int size() const { return part_ ? part_->size() : 0; }
  double nanoseconds(const Experiment& e) { return runner_->nanoseconds(e); }

 private:
  static Communicator world_for(const Config& base, const Experiment& e) {
    static int made = 0;
    Config config = base;
    config.algorithm = e.algorithm;
    config.eager_bytes = e.eager_bytes;
    config.segment_bytes = kSegment;
    config.lanes = 1;
    // A name of its own, so that a slow rank does not meet those that are ahead.
    return Communicator::create(config, nullptr, "calibrate-" + std::to_string(++made));
  }

  Algorithm algorithm_;
  std::size_t eager_bytes_;
  Communicator world_;
  std::optional<Communicator> part_;
  std::optional<Runner> runner_;
};

/// Times the experiments among the ranks of one `color`; what those below 0 get is empty.
std::vector<Sample> measure(const Config& base, std::span<const Experiment> experiments, int color,
                            bool mapped) {
  std::vector<Sample> samples;
  std::unique_ptr<Group> group;
  for (const Experiment& e : experiments) {
    if (!group || !group->suits(e)) {
      group.reset();  // before the next one stands
      group = std::make_unique<Group>(base, e, color);
    }
    if (color < 0) continue;
    const Layout layout{.ranks = group->size(), .hosts = 1, .mapped = mapped};
    samples.push_back(sample_of(e, layout, group->nanoseconds(e)));
  }
  return samples;
}

// --- who is where --------------------------------------------------------------------------------

struct Places {
  std::vector<std::int32_t> leader;  ///< by rank: the lowest rank of its host
  bool shared = false;               ///< ranks of one host share memory
};

Places places_of(Communicator& comm) {
  std::int32_t leader = comm.rank();
  std::int32_t shares = 0;
  for (const Wire& wire : comm.wires()) {
    if (wire.transport != "shm") continue;
    leader = std::min(leader, wire.peer);
    shares = 1;
  }
  if (shares == 0 && comm.hosts() == 1) leader = 0;
  if (shares == 0 && comm.hosts() > 1 && comm.ranks_on_host() > 1) {
    throw std::runtime_error(
        "ranks of one host do not share memory, so they cannot be told apart from ranks of others: "
        "allow shm in PACELINE_TRANSPORT, or start one rank on each host");
  }
  Places places;
  places.leader.resize(static_cast<std::size_t>(comm.size()));
  comm.all_gather(&leader, places.leader.data(), 1, DataType::int32);
  comm.all_reduce(std::span(&shares, 1), ReduceOp::max);
  places.shared = shares != 0;
  return places;
}

/// What was found of one level.
struct Level {
  std::vector<double> values;
  bool measured = false;
};

/// `members`: ranks of which each two are linked on this level.
Level fit_level(const Config& base, int rank, const std::vector<int>& members, bool shared) {
  if (members.size() < 2) return {};
  const auto within = [&](std::size_t first) {
    const auto end = members.begin() + static_cast<std::ptrdiff_t>(first);
    return std::find(members.begin(), end, rank) != end;
  };
  std::vector<Sample> samples;
  const auto add = [&](std::span<const Experiment> experiments, int color) {
    const std::vector<Sample> more = measure(base, experiments, color, shared);
    samples.insert(samples.end(), more.begin(), more.end());
  };
  add(kAlone, within(2) ? rank : -1);
  add(kBetweenTwo, within(2) ? 0 : -1);
  if (members.size() > 2) add(kBetweenAll, within(members.size()) ? 0 : -1);
  return {fit(samples, kParameters), true};
}

void print(const char* name, const Level& level, bool among_many) {
  if (!level.measured) return;
  const auto& v = level.values;
  std::printf("%s eager %.0f alpha %.0f beta %.4g port %.4g", name, v[eager], v[alpha], v[beta],
              v[beta]);
  if (among_many) std::printf(" post %.0f", v[post]);
  std::printf("\n");
}

int run() {
  const Config config = Config::from_environment();
  Places places;
  std::string about;
  {
    Communicator comm = Communicator::create(config);
    if (comm.size() < 2) {
      throw std::runtime_error("there is one rank: start at least two, on all hosts in question");
    }
    places = places_of(comm);
    about = std::to_string(comm.size()) + " ranks on " + std::to_string(comm.hosts()) +
            (comm.hosts() == 1 ? " host, " : " hosts, ") + wires_in_use(comm);
  }
  std::vector<int> inside;
  std::vector<int> leaders;
  for (std::size_t rank = 0; rank < places.leader.size(); ++rank) {
    if (places.leader[rank] == 0) inside.push_back(static_cast<int>(rank));
    if (places.leader[rank] == static_cast<int>(rank)) leaders.push_back(static_cast<int>(rank));
  }
  const Level near = fit_level(config, config.rank, inside, places.shared);
  const Level far = fit_level(config, config.rank, leaders, false);
  if (config.rank != 0) return 0;
  std::printf("# by paceline_calibrate %s: %s\n", version().c_str(), about.c_str());
  print("inside", near, inside.size() > 2);
  print("between", far, leaders.size() > 2);
  if (far.measured) std::printf("host %.4g\n", far.values[beta]);
  std::printf("gamma %.4g\n", (near.measured ? near : far).values[gamma]);
  if (near.measured && places.shared) std::printf("mapped %.4g\n", near.values[mapped]);
  return 0;
}

}  // namespace
}  // namespace paceline::bench

int main(int argc, char** argv) {
  if (argc > 1) {
    const bool help = std::string(argv[1]) == "-h" || std::string(argv[1]) == "--help";
    (help ? std::cout : std::cerr)
        << "Measures the cost model's parameters and prints them as a tuning file.\n"
           "Usage: mpirun -n RANKS paceline_calibrate > FILE\n\nOptions:\n"
           "  -h,--help   Print this and exit\n";
    return help ? 0 : 2;
  }
  try {
    return paceline::bench::run();
  } catch (const std::exception& error) {
    std::cerr << "paceline_calibrate: " << error.what() << std::endl;
    return 1;
  }
}
