#include "paceline/types.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

#include "paceline/config.h"
#include "paceline/error.h"

namespace paceline {
namespace {

constexpr std::array kTypes = {DataType::float32, DataType::float64, DataType::int32,
                               DataType::int64};
constexpr std::array kOps = {ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max};
constexpr std::array kAlgorithms = {Algorithm::automatic, Algorithm::ring,
                                    Algorithm::recursive_doubling, Algorithm::direct,
                                    Algorithm::binomial};

TEST(Types, SpellingsGoBothWays) {
  for (DataType type : kTypes) EXPECT_EQ(data_type_from(to_string(type)), type);
  for (ReduceOp op : kOps) EXPECT_EQ(reduce_op_from(to_string(op)), op);
  for (Algorithm a : kAlgorithms) EXPECT_EQ(algorithm_from(to_string(a)), a);
  for (IbNotify n : {IbNotify::automatic, IbNotify::immediate, IbNotify::send}) {
    EXPECT_EQ(ib_notify_from(to_string(n)), n);
  }
}

TEST(Types, SpellingsAreTheDocumentedOnes) {
  EXPECT_EQ(to_string(DataType::float32), "float32");
  EXPECT_EQ(to_string(ReduceOp::prod), "prod");
  EXPECT_EQ(to_string(Collective::all_reduce), "all_reduce");
  EXPECT_EQ(to_string(Collective::broadcast), "broadcast");
  EXPECT_EQ(to_string(Collective::barrier), "barrier");
  EXPECT_EQ(to_string(Algorithm::recursive_doubling), "recursive_doubling");
  EXPECT_EQ(to_string(Launcher::open_mpi), "open_mpi");
  EXPECT_EQ(to_string(IbNotify::automatic), "auto");
}

TEST(Types, TheNamesOfNcclTestsAreTakenToo) {
  EXPECT_EQ(data_type_from("float"), DataType::float32);
  EXPECT_EQ(data_type_from("double"), DataType::float64);
  EXPECT_EQ(data_type_from("int"), DataType::int32);
}

TEST(Types, UnknownSpellingsHaveNoValue) {
  EXPECT_EQ(data_type_from("float16"), std::nullopt);
  EXPECT_EQ(data_type_from(""), std::nullopt);
  EXPECT_EQ(data_type_from("Float32"), std::nullopt);
  EXPECT_EQ(reduce_op_from("avg"), std::nullopt);
  EXPECT_EQ(algorithm_from("tree"), std::nullopt);
  EXPECT_EQ(ib_notify_from("automatic"), std::nullopt);
}

TEST(Types, WhatIsNoEnumeratorIsFoundOut) {
  for (int i = 0; i < 256; ++i) {
    const auto byte = static_cast<std::uint8_t>(i);
    EXPECT_EQ(is_valid(static_cast<DataType>(byte)), to_string(static_cast<DataType>(byte)) != "?");
    EXPECT_EQ(is_valid(static_cast<ReduceOp>(byte)), to_string(static_cast<ReduceOp>(byte)) != "?");
    EXPECT_EQ(is_valid(static_cast<Collective>(byte)),
              to_string(static_cast<Collective>(byte)) != "?");
  }
  EXPECT_EQ(to_string(static_cast<Algorithm>(99)), "?");
  EXPECT_EQ(to_string(static_cast<Launcher>(99)), "?");
}

TEST(Types, SizesAreThoseOfTheCppTypes) {
  EXPECT_EQ(size_of(DataTypeOf<float>::value), sizeof(float));
  EXPECT_EQ(size_of(DataTypeOf<double>::value), sizeof(double));
  EXPECT_EQ(size_of(DataTypeOf<std::int32_t>::value), sizeof(std::int32_t));
  EXPECT_EQ(size_of(DataTypeOf<std::int64_t>::value), sizeof(std::int64_t));
  EXPECT_EQ(size_of(static_cast<DataType>(0)), 0U);
}

TEST(Types, EveryErrorCodeHasItsOwnName) {
  std::set<std::string_view> names;
  for (std::uint8_t code = 1; code <= static_cast<std::uint8_t>(ErrorCode::internal); ++code) {
    names.insert(to_string(static_cast<ErrorCode>(code)));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(ErrorCode::internal));
  EXPECT_FALSE(names.contains("?"));
  EXPECT_EQ(to_string(static_cast<ErrorCode>(0)), "?");
}

TEST(Types, AnErrorCarriesWhereItHappened) {
  const Error error(ErrorCode::peer_failed, "rank 3 died",
                    {.rank = 1, .peer = 3, .operation = "barrier()", .sequence = 7});
  const Error copy = error;
  EXPECT_EQ(copy.code(), ErrorCode::peer_failed);
  EXPECT_EQ(copy.rank(), 1);
  EXPECT_EQ(copy.peer(), 3);
  EXPECT_EQ(copy.operation(), "barrier()");
  EXPECT_EQ(copy.sequence(), 7U);
  EXPECT_STREQ(copy.what(), "rank 3 died");
  EXPECT_EQ(Error(ErrorCode::internal, "x").rank(), Error::kNoRank);
}

}  // namespace
}  // namespace paceline
