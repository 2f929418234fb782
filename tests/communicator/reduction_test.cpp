// Reductions that take more than an operation's name: a factor per rank, a function of the
// caller's; and the option of a single call.
#include <numeric>
#include <stdexcept>
#include <vector>

#include "support/fake_device.h"
#include "support/world.h"

namespace paceline {
namespace {

using testing_support::expect_error;
using testing_support::run_world;

class Reductions : public testing::TestWithParam<std::string> {
 protected:
  static void run(int size, const std::function<void(Communicator&)>& body) {
    run_world(size, body, [](Config& config) {
      config.transports = {GetParam()};
      config.segment_bytes = 4096;
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Wires, Reductions, testing::Values("shm", "tcp"),
                         [](const auto& param) { return param.param; });

// Exact in every type: whole numbers times 1, 2, 3 ...
template <class T>
void check_factor(Communicator& comm, std::size_t count, bool in_place) {
  std::vector<T> in(count);
  for (std::size_t i = 0; i < count; ++i) in[i] = T(static_cast<float>(i % 3));
  std::vector<T> out(count);
  std::vector<T>& result = in_place ? in : out;
  comm.all_reduce(in.data(), result.data(), count, DataTypeOf<T>::value,
                  Reduction::premul_sum(comm.rank() + 1));
  const int factors = comm.size() * (comm.size() + 1) / 2;
  for (std::size_t i = 0; i < count; ++i) {
    const auto expected = static_cast<float>(static_cast<int>(i % 3) * factors);
    ASSERT_EQ(static_cast<float>(result[i]), expected) << i << " of " << count;
    if (!in_place) {
      ASSERT_EQ(static_cast<float>(in[i]), static_cast<float>(i % 3));
    }
  }
}

TEST_P(Reductions, MultiplyEachContributionByItsRanksFactor) {
  for (const int size : {1, 2, 3}) {
    run(size, [](Communicator& comm) {
      for (const std::size_t count : {0u, 1u, 37u, 9001u}) {
        for (const bool in_place : {false, true}) {
          check_factor<float>(comm, count, in_place);
          check_factor<double>(comm, count, in_place);
          check_factor<float16>(comm, count, in_place);
          check_factor<bfloat16>(comm, count, in_place);
          check_factor<float8_e4m3>(comm, count, in_place);
          check_factor<float8_e5m2>(comm, count, in_place);
        }
      }
      // A double keeps a factor that no float holds.
      double x = 1;
      comm.reduce(&x, &x, 1, DataType::float64, Reduction::premul_sum(0.1), 0);
      double expected = 0;
      for (int r = 0; r < comm.size(); ++r) expected += 0.1;
      if (comm.rank() == 0) {
        EXPECT_EQ(x, expected);
      }
    });
  }
}

// x -> a x + b; the combination is not commutative, so the order shows.
struct Affine {
  std::uint32_t a;
  std::uint32_t b;
  bool operator==(const Affine&) const = default;
};
Affine after(const Affine& first, const Affine& second) {
  return {second.a * first.a, second.a * first.b + second.b};
}
void compose(void* inout, const void* in, std::size_t count, DataType type) {
  if (type != DataType::uint64) throw std::logic_error("asked for another type");
  auto* const first = static_cast<Affine*>(inout);
  const auto* const second = static_cast<const Affine*>(in);
  for (std::size_t i = 0; i < count; ++i) first[i] = after(first[i], second[i]);
}
Affine map_of(int rank, std::size_t i) {
  return {static_cast<std::uint32_t>(i * 2 + 3) + static_cast<std::uint32_t>(rank) * 4,
          static_cast<std::uint32_t>(i * 7 + 1) * static_cast<std::uint32_t>(rank + 2)};
}

TEST_P(Reductions, CombineByACustomFunctionInTheOrderOfTheRanks) {
  for (const int size : {1, 2, 3, 5}) {
    run(size, [](Communicator& comm) {
      const Reduction op = Reduction::custom(compose);
      for (const std::size_t count : {1u, 100u, 7001u}) {
        std::vector<Affine> in(count * static_cast<std::size_t>(comm.size()));
        for (std::size_t i = 0; i < in.size(); ++i) in[i] = map_of(comm.rank(), i);
        const auto expected = [&](std::size_t i) {
          Affine result = map_of(0, i);
          for (int r = 1; r < comm.size(); ++r) result = after(result, map_of(r, i));
          return result;
        };
        std::vector<Affine> out(count);
        comm.all_reduce(in.data(), out.data(), count, DataType::uint64, op);
        for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], expected(i)) << i;
        comm.reduce(in.data(), out.data(), count, DataType::uint64, op, comm.size() - 1);
        for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], expected(i)) << i;
        comm.reduce_scatter(in.data(), out.data(), count, DataType::uint64, op);
        const std::size_t own = static_cast<std::size_t>(comm.rank()) * count;
        for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], expected(own + i)) << i;
        comm.all_reduce(in.data(), in.data(), count, DataType::uint64, op);
        for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(in[i], expected(i)) << i;
      }
    });
  }
}

TEST_P(Reductions, AFunctionThatThrowsIsEverybodysError) {
  run(3, [](Communicator& comm) {
    const int rank = comm.rank();
    const Reduction op = Reduction::custom([rank](void*, const void*, std::size_t, DataType) {
      if (rank == 1) throw std::runtime_error("no such monoid");
    });
    std::vector<float> x(5000);
    const Error error = expect_error([&] {
      for (;;) comm.all_reduce(x.data(), x.data(), x.size(), DataType::float32, op);
    });
    EXPECT_EQ(error.code(), ErrorCode::aborted) << error.what();
    const std::string text = error.what();
    EXPECT_NE(text.find("the function that rank 1 gave to all_reduce(5000 x float32, custom) as "
                        "call #0 threw 'no such monoid'"),
              std::string::npos)
        << text;
  });
}

TEST(ReductionArguments, WhatIsMissingIsSaid) {
  run_world(1, [](Communicator& comm) {
    float x = 1;
    const auto text = [&](const Reduction& op, DataType type) {
      return std::string(expect_error([&] { comm.all_reduce(&x, &x, 1, type, op); }).what());
    };
    EXPECT_EQ(text(ReduceOp::premul_sum, DataType::float32),
              "premul_sum needs this rank's factor: give Reduction::premul_sum(factor)");
    EXPECT_EQ(text(ReduceOp::custom, DataType::float32),
              "custom needs a function: give Reduction::custom(function)");
    EXPECT_EQ(text(Reduction::custom({}), DataType::float32),
              "custom needs a function: give Reduction::custom(function)");
    EXPECT_NE(text(Reduction::premul_sum(2), DataType::int32).find("is not offered"),
              std::string::npos);
  });
}

// A function that holds something lets go of it when the call is over.
TEST(ReductionArguments, AFunctionIsNotKept) {
  run_world(2, [](Communicator& comm) {
    const auto token = std::make_shared<int>(1);
    std::vector<std::int32_t> x(10);
    comm.all_reduce(x.data(), x.data(), x.size(), DataType::int32,
                    Reduction::custom([token](void*, const void*, std::size_t, DataType) {}));
    EXPECT_EQ(token.use_count(), 1);
  });
}

TEST(OneCallsOptions, ChooseTheAlgorithm) {
  run_world(3, [](Communicator& comm) {
    for (const Algorithm algorithm :
         {Algorithm::ring, Algorithm::tree, Algorithm::direct, Algorithm::halving_doubling}) {
      std::vector<std::int32_t> x(5000, comm.rank());
      comm.all_reduce(x.data(), x.data(), x.size(), DataType::int32, ReduceOp::sum,
                      {.algorithm = algorithm});
      EXPECT_EQ(x, std::vector<std::int32_t>(5000, 3));
    }
    float y = 0;
    const Error error = expect_error(
        [&] { comm.broadcast(&y, 1, DataType::float32, 0, {.algorithm = Algorithm::ring}); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_STREQ(error.what(),
                 "algorithm ring does not offer broadcast: binomial, direct, tree, "
                 "scatter_all_gather, hierarchical do");
  });
}

TEST(OneCallsOptions, ThatDifferAreAMismatch) {
  run_world(2, [](Communicator& comm) {
    std::vector<float> x(50'000);
    const Error error = expect_error([&] {
      for (;;) {
        comm.all_reduce(x.data(), x.data(), x.size(), DataType::float32, ReduceOp::sum,
                        {.algorithm = comm.rank() == 0 ? Algorithm::ring : Algorithm::tree});
      }
    });
    EXPECT_EQ(error.code(), ErrorCode::mismatch) << error.what();
    const std::string text = error.what();
    EXPECT_NE(text.find("by ring"), std::string::npos) << text;
    EXPECT_NE(text.find("by tree"), std::string::npos) << text;
  });
}

}  // namespace
}  // namespace paceline
