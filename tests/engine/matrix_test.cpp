// Every collective by every algorithm that offers it, with every type and operation, over the
// simulated wire: delayed, reordered, and with memory that can be mapped, put into, or neither.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "common/data.h"
#include "engine/sim_world.h"

namespace paceline::engine {
namespace {

using transport::SimOptions;

SimOptions options(int ranks, std::uint64_t seed) {
  SimOptions o;
  o.ranks = ranks;
  o.seed = seed;
  o.extra_delay = 5000;
  o.reorder = true;
  o.mappable = seed % 2 == 0;
  o.gettable = seed % 5 < 3;
  o.get_beats_copies = seed % 5 < 2;
  o.ranks_per_host = 2;
  o.can_register = [seed](const transport::MemoryView& view) {
    return view.shareable_fd >= 0 || seed % 3 != 0;
  };
  return o;
}

/// What one rank brings to each call of one collective, type and operation.
template <class T>
struct Side {
  bench::Data<T> data;
  std::vector<T> in;
  std::vector<T> out;
};
// A vector<bool> has no elements to point at.
template <>
struct Side<bool> {
  struct Bools {
    explicit Bools(std::size_t n) : values(std::make_unique<bool[]>(n + 1)) {}
    bool* data() { return values.get(); }
    std::unique_ptr<bool[]> values;
  };
  bench::Data<bool> data;
  Bools in;
  Bools out;
};

template <class T>
void check(SimWorld& world, const Call& call, bool registered) {
  const int size = world.size();
  const Blocks most = blocks_of(call.collective, call.root, size, call.root);
  const std::size_t n = call.count * static_cast<std::size_t>(std::max(most.input, most.output));
  std::vector<Side<T>> sides;
  for (int r = 0; r < size; ++r) {
    using Elements = decltype(Side<T>::in);
    sides.push_back(
        {bench::Data<T>(call.collective, call.op, call.root, r, size), Elements(n), Elements(n)});
  }
  std::vector<std::shared_ptr<memory::Region>> regions;
  for (int r = 0; r < size; ++r) {
    Side<T>& side = sides[static_cast<std::size_t>(r)];
    const Blocks mine = blocks_of(call.collective, r, size, call.root);
    T* const out = side.out.data();
    T* const in = call.collective == Collective::broadcast ? out : side.in.data();
    side.data.fill(in, call.count);
    Buffers buffers;
    if (mine.input > 0) buffers.input = reinterpret_cast<const std::byte*>(in);
    if (mine.output > 0) buffers.output = reinterpret_cast<std::byte*>(out);
    // Where ranks map each other's memory, only what is registered is mapped.
    const auto remember = [&](T* buffer) {
      if (registered) regions.push_back(world.registrar(r).register_memory(buffer, n * sizeof(T)));
    };
    if (mine.input > 0) remember(in);
    if (mine.output > 0) remember(out);
    buffers.factor = bench::factor_of(r);
    (void)world.engine(r).submit(call, buffers);
  }
  ASSERT_TRUE(world.run()) << call.text() << " by " << to_string(call.algorithm);
  for (int r = 0; r < size; ++r) {
    ASSERT_FALSE(world.error(r)) << world.error(r)->what();
    Side<T>& side = sides[static_cast<std::size_t>(r)];
    ASSERT_EQ(side.data.wrong(side.out.data(), call.count), 0u)
        << call.text() << " by " << to_string(call.algorithm) << ", rank " << r << " of " << size;
  }
}

class Matrix : public testing::TestWithParam<Collective> {};

TEST_P(Matrix, EveryAlgorithmTypeAndOperation) {
  const Collective collective = GetParam();
  std::uint64_t seed = 0;
  for (const Algorithm algorithm : collectives::algorithms_of(collective)) {
    for (int t = 1; is_valid(static_cast<DataType>(t)); ++t) {
      const auto type = static_cast<DataType>(t);
      PlanOptions plan;
      plan.eager_bytes = 128;
      plan.segment_bytes = 512;
      plan.fetch_bytes = 64;
      plan.in_turns_bytes = 64;
      plan.streaming_bytes = seed % 2 == 0 ? 0 : plan.streaming_bytes;
      plan.lap_bytes = seed % 3 * 20'000;
      plan.lanes = 3;
      ++seed;
      SimWorld world(options(static_cast<int>(2 + seed % 5), seed), plan);
      for (int o = 1; o <= static_cast<int>(ReduceOp::bxor); ++o) {
        const auto op = static_cast<ReduceOp>(o);
        if (reduces(collective) ? !offers(op, type) : o != 1) continue;
        for (const std::uint64_t count : {5u, 1500u}) {
          const Call call{collective, type, op, algorithm, o % world.size(), count};
          bench::with_type(
              type, [&](auto zero) { check<decltype(zero)>(world, call, (o + count) % 2 == 1); });
          if (HasFatalFailure()) FAIL() << "seed " << seed;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sim, Matrix,
                         testing::Values(Collective::all_reduce, Collective::broadcast,
                                         Collective::reduce_scatter, Collective::all_gather,
                                         Collective::all_to_all, Collective::reduce,
                                         Collective::gather, Collective::scatter),
                         [](const auto& param) { return std::string(to_string(param.param)); });

}  // namespace
}  // namespace paceline::engine
