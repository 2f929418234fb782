#include "paceline/types.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

#include "paceline/config.h"
#include "paceline/error.h"

namespace paceline {
namespace {

constexpr std::array kTypes = {DataType::float32,  DataType::float64,     DataType::int32,
                               DataType::int64,    DataType::int8,        DataType::uint8,
                               DataType::uint32,   DataType::uint64,      DataType::float16,
                               DataType::bfloat16, DataType::float8_e4m3, DataType::float8_e5m2,
                               DataType::boolean};
constexpr std::array kOps = {ReduceOp::sum,  ReduceOp::prod, ReduceOp::min,
                             ReduceOp::max,  ReduceOp::avg,  ReduceOp::premul_sum,
                             ReduceOp::band, ReduceOp::bor,  ReduceOp::bxor};
constexpr std::array kAlgorithms = {Algorithm::automatic,          Algorithm::ring,
                                    Algorithm::recursive_doubling, Algorithm::direct,
                                    Algorithm::binomial,           Algorithm::one_shot};

TEST(Types, SpellingsGoBothWays) {
  for (DataType type : kTypes) EXPECT_EQ(data_type_from(to_string(type)), type);
  for (ReduceOp op : kOps) EXPECT_EQ(reduce_op_from(to_string(op)), op);
  for (Algorithm a : kAlgorithms) EXPECT_EQ(algorithm_from(to_string(a)), a);
  for (std::uint8_t c = 1; is_valid(static_cast<Collective>(c)); ++c) {
    EXPECT_EQ(collective_from(to_string(static_cast<Collective>(c))), static_cast<Collective>(c));
  }
  for (IbNotify n : {IbNotify::automatic, IbNotify::immediate, IbNotify::send}) {
    EXPECT_EQ(ib_notify_from(to_string(n)), n);
  }
  for (IbConnect c : {IbConnect::automatic, IbConnect::exchange, IbConnect::cm}) {
    EXPECT_EQ(ib_connect_from(to_string(c)), c);
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
  EXPECT_EQ(data_type_from("half"), DataType::float16);
  EXPECT_EQ(data_type_from("fp8_e4m3"), DataType::float8_e4m3);
  EXPECT_EQ(data_type_from("fp8_e5m2"), DataType::float8_e5m2);
}

TEST(Types, UnknownSpellingsHaveNoValue) {
  EXPECT_EQ(data_type_from("float128"), std::nullopt);
  EXPECT_EQ(data_type_from(""), std::nullopt);
  EXPECT_EQ(data_type_from("Float32"), std::nullopt);
  EXPECT_EQ(reduce_op_from("average"), std::nullopt);
  EXPECT_EQ(collective_from("allreduce"), std::nullopt);
  EXPECT_EQ(algorithm_from("star"), std::nullopt);
  EXPECT_EQ(ib_notify_from("automatic"), std::nullopt);
  EXPECT_EQ(ib_connect_from("rdma_cm"), std::nullopt);
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

// The numbers travel on the wire: none may change.
TEST(Types, NumbersStayWhatTheyAre) {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(kTypes[i]), i + 1) << to_string(kTypes[i]);
  }
  for (std::size_t i = 0; i < kOps.size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(kOps[i]), i + 1) << to_string(kOps[i]);
  }
}

TEST(Types, WhatIsOffered) {
  for (const DataType type : kTypes) {
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max}) {
      EXPECT_TRUE(offers(op, type));
    }
    EXPECT_EQ(offers(ReduceOp::avg, type), type != DataType::boolean);
    const bool floating = to_string(type).find("float") != std::string_view::npos;
    EXPECT_EQ(is_float(type), floating);
    EXPECT_EQ(offers(ReduceOp::premul_sum, type), floating);
    for (const ReduceOp op : {ReduceOp::band, ReduceOp::bor, ReduceOp::bxor}) {
      EXPECT_EQ(offers(op, type), !floating);
    }
    EXPECT_FALSE(offers(static_cast<ReduceOp>(0), type));
    EXPECT_TRUE(offers(ReduceOp::custom, type));
    EXPECT_FALSE(offers(static_cast<ReduceOp>(11), type));
  }
  EXPECT_FALSE(offers(ReduceOp::sum, static_cast<DataType>(0)));
  EXPECT_FALSE(offers(ReduceOp::sum, static_cast<DataType>(14)));
}

template <class T>
constexpr bool has_its_size() {
  return size_of(DataTypeOf<T>::value) == sizeof(T);
}

TEST(Types, SizesAreThoseOfTheCppTypes) {
  EXPECT_TRUE(has_its_size<float>() && has_its_size<double>());
  EXPECT_TRUE(has_its_size<std::int8_t>() && has_its_size<std::uint8_t>());
  EXPECT_TRUE(has_its_size<std::int32_t>() && has_its_size<std::uint32_t>());
  EXPECT_TRUE(has_its_size<std::int64_t>() && has_its_size<std::uint64_t>());
  EXPECT_TRUE(has_its_size<float16>() && has_its_size<bfloat16>());
  EXPECT_TRUE(has_its_size<float8_e4m3>() && has_its_size<float8_e5m2>());
  EXPECT_TRUE(has_its_size<bool>());
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
