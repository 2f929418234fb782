// The guarantee of docs/design/numerics.md: all ranks get the same bits, every time, and by one
// algorithm and configuration the same over every wire, however it delays. With values that would
// show any change in the order of operations.
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "collectives/schedule.h"
#include "engine/sim_world.h"
#include "support/hostile.h"
#include "support/world.h"

namespace paceline {
namespace {

using testing_support::hostile;
using testing_support::run_world;

constexpr int kRanks = 5;
constexpr std::size_t kCount = 5003;
constexpr std::size_t kEager = 256;
constexpr std::size_t kSegment = 4096;
constexpr int kLanes = 2;

using Bits = std::vector<std::byte>;

/// What every rank has of one all_reduce, which is the same; fails the test if not.
class Results {
 public:
  void add(const std::string& what, Bits bits) {
    const std::lock_guard guard(lock_);
    const auto [it, first] = bits_.emplace(what, bits);
    if (first || it->second == bits) return;
    std::size_t at = 0;
    while (it->second[at] == bits[at]) ++at;
    ADD_FAILURE() << what << " differs from byte " << at << " on";
  }

 private:
  std::mutex lock_;
  std::map<std::string, Bits> bits_;
};

std::string label(DataType type, ReduceOp op, std::size_t count) {
  return std::string(to_string(type)) + " " + std::string(to_string(op)) + " of " +
         std::to_string(count);
}

template <class Action>
void for_each_pair(Action&& action) {
  for (int t = 1; is_valid(static_cast<DataType>(t)); ++t) {
    for (int o = 1; o <= static_cast<int>(ReduceOp::bxor); ++o) {
      const auto type = static_cast<DataType>(t);
      const auto op = static_cast<ReduceOp>(o);
      if (!offers(op, type)) continue;
      for (const std::size_t count : {std::size_t{7}, kCount}) action(type, op, count);
    }
  }
}

constexpr double kFactor[kRanks] = {0.1, -3, 1e-3, 7, 1.0 / 3};

void over_a_wire(Results& results, Algorithm algorithm, const std::string& wire, bool allocated) {
  run_world(
      kRanks,
      [&](Communicator& comm) {
        const auto me = static_cast<std::size_t>(comm.rank());
        for_each_pair([&](DataType type, ReduceOp op, std::size_t count) {
          const Bits in = hostile(type, comm.rank(), count);
          Memory memory = comm.allocate(in.size());
          Bits plain(in.size());
          std::byte* const out = allocated ? memory.data() : plain.data();
          std::memcpy(out, in.data(), in.size());
          comm.all_reduce(
              out, out, count, type,
              op == ReduceOp::premul_sum ? Reduction::premul_sum(kFactor[me]) : Reduction(op));
          results.add(label(type, op, count), Bits(out, out + in.size()));
        });
      },
      [&](Config& config) {
        config.transports = {wire};
        config.algorithm = algorithm;
        config.eager_bytes = kEager;
        config.segment_bytes = kSegment;
        config.lanes = kLanes;
      });
}

void simulated(Results& results, Algorithm algorithm, std::uint64_t seed) {
  transport::SimOptions o;
  o.ranks = kRanks;
  o.seed = seed;
  o.extra_delay = 50'000;
  o.reorder = true;
  o.mappable = seed % 2 == 0;
  o.ranks_per_host = 2;
  engine::PlanOptions plan;
  plan.eager_bytes = kEager;
  plan.segment_bytes = kSegment;
  plan.lanes = kLanes;
  engine::SimWorld world(o, plan);
  for_each_pair([&](DataType type, ReduceOp op, std::size_t count) {
    std::vector<Bits> x;
    for (int r = 0; r < kRanks; ++r) x.push_back(hostile(type, r, count));
    for (int r = 0; r < kRanks; ++r) {
      engine::Buffers buffers;
      buffers.input = buffers.output = x[static_cast<std::size_t>(r)].data();
      buffers.factor = kFactor[r];
      (void)world.engine(r).submit({Collective::all_reduce, type, op, algorithm, 0, count},
                                   buffers);
    }
    ASSERT_TRUE(world.run());
    for (Bits& bits : x) results.add(label(type, op, count), std::move(bits));
  });
}

class SameBits : public testing::TestWithParam<Algorithm> {};

TEST_P(SameBits, OnAllRanksOverAllWiresEveryTime) {
  const Algorithm algorithm = GetParam();
  Results results;
  over_a_wire(results, algorithm, "shm", true);
  over_a_wire(results, algorithm, "shm", false);
  over_a_wire(results, algorithm, "tcp", false);
  for (std::uint64_t seed = 1; seed <= 4; ++seed) simulated(results, algorithm, seed);
}
INSTANTIATE_TEST_SUITE_P(
    Algorithms, SameBits,
    testing::ValuesIn(collectives::algorithms_of(Collective::all_reduce).begin(),
                      collectives::algorithms_of(Collective::all_reduce).end()),
    [](const auto& param) { return std::string(to_string(param.param)); });

}  // namespace
}  // namespace paceline
