// The small vocabulary that every layer shares: element types, reductions, collectives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "paceline/export.h"
#include "paceline/floats.h"

namespace paceline {

/// The type of one element of a buffer. The numeric values travel on the wire; never renumber.
enum class DataType : std::uint8_t {
  float32 = 1,
  float64 = 2,
  int32 = 3,
  int64 = 4,
  int8 = 5,
  uint8 = 6,
  uint32 = 7,
  uint64 = 8,
  float16 = 9,
  bfloat16 = 10,
  float8_e4m3 = 11,  ///< floats.h says what these four are
  float8_e5m2 = 12,
  boolean = 13,  ///< one byte: 0 is false, anything else is true; results are 0 or 1
};

/// How the contributions of the ranks are combined. The numeric values travel on the wire.
/// `offers` says for which types; docs/design/numerics.md says what comes out.
enum class ReduceOp : std::uint8_t {
  sum = 1,         ///< integers wrap modulo 2^n; booleans: or
  prod = 2,        ///< likewise; booleans: and
  min = 3,         ///< floating point: NaN if any contribution is NaN; booleans: and
  max = 4,         ///< likewise; booleans: or
  avg = 5,         ///< the sum divided by the number of ranks; integers: towards zero
  premul_sum = 6,  ///< the sum of each rank's contribution times a factor of its own
  band = 7,        ///< bitwise and
  bor = 8,         ///< bitwise or
  bxor = 9,        ///< bitwise exclusive or
  custom = 10,     ///< the caller's own function: reduction.h
};

/// What the ranks do together. The numeric values travel on the wire.
enum class Collective : std::uint8_t {
  all_reduce = 1,
  broadcast = 2,
  barrier = 3,
  reduce_scatter = 4,
  all_gather = 5,
  all_to_all = 6,
  reduce = 7,
  gather = 8,
  scatter = 9,
};

/// How they do it. `automatic` lets the library choose; the choice is the same on every rank.
/// The numeric values travel on the wire.
enum class Algorithm : std::uint8_t {
  automatic = 0,
  ring = 1,                ///< bandwidth-optimal, any wire
  recursive_doubling = 2,  ///< latency-optimal, any number of ranks
  direct = 3,              ///< every pair; one pass where peers' memory can be mapped
  binomial = 4,            ///< along a binomial tree from or to the root
  halving_doubling = 5,    ///< halves of the data, then of those: few steps and little data
  tree = 6,                ///< two binary trees, each for half of the data
  bruck = 7,               ///< all_gather and all_to_all in log2(ranks) steps, any number of ranks
  scatter_all_gather = 8,  ///< broadcast of large data
  hierarchical = 9,        ///< inside each host, then across hosts with every rank driving a share
  one_shot = 10,  ///< everybody's data to everybody: one step, for few ranks and little data
};

/// How an RDMA link says that data has arrived. `automatic` takes immediates where both ends have
/// them, else sends.
enum class IbNotify : std::uint8_t { automatic, immediate, send };

/// How the two ends of an RDMA link connect their queue pairs: by an exchange of their numbers over
/// TCP, or by the connection manager of rdma-core (librdmacm), which iWARP needs. `automatic` takes
/// the manager for iWARP and the exchange for all others.
enum class IbConnect : std::uint8_t { automatic, exchange, cm };

/// Bytes of one element; 0 if `type` is not one of the enumerators.
constexpr std::size_t size_of(DataType type) {
  switch (type) {
    case DataType::int8:
    case DataType::uint8:
    case DataType::float8_e4m3:
    case DataType::float8_e5m2:
    case DataType::boolean:
      return 1;
    case DataType::float16:
    case DataType::bfloat16:
      return 2;
    case DataType::float32:
    case DataType::int32:
    case DataType::uint32:
      return 4;
    case DataType::float64:
    case DataType::int64:
    case DataType::uint64:
      return 8;
  }
  return 0;
}

/// Floating point, of any length.
constexpr bool is_float(DataType type) {
  return type == DataType::float32 || type == DataType::float64 || type == DataType::float16 ||
         type == DataType::bfloat16 || type == DataType::float8_e4m3 ||
         type == DataType::float8_e5m2;
}

/// True if the value is one of the enumerators (a caller may have cast anything).
constexpr bool is_valid(DataType type) {
  return size_of(type) != 0;
}
constexpr bool is_valid(ReduceOp op) {
  return op >= ReduceOp::sum && op <= ReduceOp::custom;
}

/// True if elements of that type can be combined by that operation.
constexpr bool offers(ReduceOp op, DataType type) {
  if (!is_valid(type)) return false;
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::prod:
    case ReduceOp::min:
    case ReduceOp::max:
    case ReduceOp::custom:
      return true;
    case ReduceOp::avg:
      return type != DataType::boolean;
    case ReduceOp::premul_sum:
      return is_float(type);
    case ReduceOp::band:
    case ReduceOp::bor:
    case ReduceOp::bxor:
      return !is_float(type);
  }
  return false;
}
/// The same as a sentence, for the texts of errors.
inline constexpr std::string_view kOffered =
    "sum, prod, min and max combine every type; avg every type but bool; premul_sum float32, "
    "float64, float16, bfloat16, float8_e4m3 and float8_e5m2; band, bor and bxor the integers and "
    "bool; custom every type, in a communicator";

constexpr bool is_valid(Collective c) {
  return c >= Collective::all_reduce && c <= Collective::scatter;
}

/// True if the ranks' contributions are combined, by a ReduceOp.
constexpr bool reduces(Collective c) {
  return c == Collective::all_reduce || c == Collective::reduce || c == Collective::reduce_scatter;
}
/// True if one rank is the root.
constexpr bool has_root(Collective c) {
  return c == Collective::broadcast || c == Collective::reduce || c == Collective::gather ||
         c == Collective::scatter;
}

/// How many blocks of `count` elements a rank's input and output have, `count` being what it calls
/// the collective with: 0 (that buffer is not used), 1, or one for each rank.
struct Blocks {
  int input = 1;
  int output = 1;
};
constexpr Blocks blocks_of(Collective c, int rank, int size, int root) {
  const int at_root = rank == root ? 1 : 0;
  switch (c) {
    case Collective::all_reduce:
    case Collective::broadcast:
    case Collective::barrier:
      return {1, 1};
    case Collective::reduce:
      return {1, at_root};
    case Collective::reduce_scatter:
      return {size, 1};
    case Collective::all_gather:
      return {1, size};
    case Collective::all_to_all:
      return {size, size};
    case Collective::gather:
      return {1, at_root * size};
    case Collective::scatter:
      return {at_root * size, 1};
  }
  return {0, 0};
}

/// The spelling used in messages, flags and configuration: "float32", "sum", "all_reduce", "ring".
/// "?" for a value that is not an enumerator.
PACELINE_API std::string_view to_string(DataType type);
PACELINE_API std::string_view to_string(ReduceOp op);
PACELINE_API std::string_view to_string(Collective collective);
PACELINE_API std::string_view to_string(Algorithm algorithm);
/// "auto", "immediate", "send".
PACELINE_API std::string_view to_string(IbNotify notify);
/// "auto", "exchange", "cm".
PACELINE_API std::string_view to_string(IbConnect connect);

/// The inverse of to_string; empty for an unknown spelling. data_type also takes nccl-tests'
/// "float", "double", "half", "int", "fp8_e4m3" and "fp8_e5m2".
PACELINE_API std::optional<DataType> data_type_from(std::string_view name);
PACELINE_API std::optional<ReduceOp> reduce_op_from(std::string_view name);
PACELINE_API std::optional<Collective> collective_from(std::string_view name);
PACELINE_API std::optional<Algorithm> algorithm_from(std::string_view name);
PACELINE_API std::optional<IbNotify> ib_notify_from(std::string_view name);
PACELINE_API std::optional<IbConnect> ib_connect_from(std::string_view name);

/// The DataType of a C++ type; using it with any other type does not compile.
template <class T>
struct DataTypeOf;
template <>
struct DataTypeOf<float> {
  static constexpr DataType value = DataType::float32;
};
template <>
struct DataTypeOf<double> {
  static constexpr DataType value = DataType::float64;
};
template <>
struct DataTypeOf<std::int8_t> {
  static constexpr DataType value = DataType::int8;
};
template <>
struct DataTypeOf<std::uint8_t> {
  static constexpr DataType value = DataType::uint8;
};
template <>
struct DataTypeOf<std::int32_t> {
  static constexpr DataType value = DataType::int32;
};
template <>
struct DataTypeOf<std::uint32_t> {
  static constexpr DataType value = DataType::uint32;
};
template <>
struct DataTypeOf<std::int64_t> {
  static constexpr DataType value = DataType::int64;
};
template <>
struct DataTypeOf<std::uint64_t> {
  static constexpr DataType value = DataType::uint64;
};
template <>
struct DataTypeOf<float16> {
  static constexpr DataType value = DataType::float16;
};
template <>
struct DataTypeOf<bfloat16> {
  static constexpr DataType value = DataType::bfloat16;
};
template <>
struct DataTypeOf<float8_e4m3> {
  static constexpr DataType value = DataType::float8_e4m3;
};
template <>
struct DataTypeOf<float8_e5m2> {
  static constexpr DataType value = DataType::float8_e5m2;
};
template <>
struct DataTypeOf<bool> {
  static constexpr DataType value = DataType::boolean;
};

}  // namespace paceline
