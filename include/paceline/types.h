// The small vocabulary that every layer shares: element types, reductions, collectives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "paceline/export.h"

namespace paceline {

/// The type of one element of a buffer. The numeric values travel on the wire; never renumber.
enum class DataType : std::uint8_t { float32 = 1, float64 = 2, int32 = 3, int64 = 4 };

/// How the contributions of the ranks are combined. The numeric values travel on the wire.
/// Integer sum and prod wrap modulo 2^n. For floating point, min and max return NaN if any
/// contribution is NaN.
enum class ReduceOp : std::uint8_t { sum = 1, prod = 2, min = 3, max = 4 };

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
};

/// How an RDMA link says that data has arrived. `automatic` takes immediates where both ends have
/// them, else sends.
enum class IbNotify : std::uint8_t { automatic, immediate, send };

/// Bytes of one element; 0 if `type` is not one of the enumerators.
constexpr std::size_t size_of(DataType type) {
  switch (type) {
    case DataType::float32:
    case DataType::int32:
      return 4;
    case DataType::float64:
    case DataType::int64:
      return 8;
  }
  return 0;
}

/// True if the value is one of the enumerators (a caller may have cast anything).
constexpr bool is_valid(DataType type) {
  return size_of(type) != 0;
}
constexpr bool is_valid(ReduceOp op) {
  return op >= ReduceOp::sum && op <= ReduceOp::max;
}
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

/// The inverse of to_string; empty for an unknown spelling. data_type also takes nccl-tests'
/// "float", "double", "int32"/"int", "int64".
PACELINE_API std::optional<DataType> data_type_from(std::string_view name);
PACELINE_API std::optional<ReduceOp> reduce_op_from(std::string_view name);
PACELINE_API std::optional<Algorithm> algorithm_from(std::string_view name);
PACELINE_API std::optional<IbNotify> ib_notify_from(std::string_view name);

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
struct DataTypeOf<std::int32_t> {
  static constexpr DataType value = DataType::int32;
};
template <>
struct DataTypeOf<std::int64_t> {
  static constexpr DataType value = DataType::int64;
};

}  // namespace paceline
