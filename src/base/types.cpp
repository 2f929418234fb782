// Spellings of the shared vocabulary, one list per type: both directions read the same list.
#include "paceline/types.h"

#include <array>

namespace paceline {
namespace {

template <class Enum>
struct Spelling {
  Enum value;
  std::string_view name;
};
// Said aloud for clang before 17, which deduces nothing for aggregates.
template <class Enum>
Spelling(Enum, const char*) -> Spelling<Enum>;

// The first spelling of a value is the one that to_string gives.
constexpr std::array kDataTypes = {
    Spelling{DataType::float32, "float32"},
    Spelling{DataType::float64, "float64"},
    Spelling{DataType::int32, "int32"},
    Spelling{DataType::int64, "int64"},
    Spelling{DataType::int8, "int8"},
    Spelling{DataType::uint8, "uint8"},
    Spelling{DataType::uint32, "uint32"},
    Spelling{DataType::uint64, "uint64"},
    Spelling{DataType::float16, "float16"},
    Spelling{DataType::bfloat16, "bfloat16"},
    Spelling{DataType::float8_e4m3, "float8_e4m3"},
    Spelling{DataType::float8_e5m2, "float8_e5m2"},
    Spelling{DataType::boolean, "bool"},
    Spelling{DataType::float32, "float"},
    Spelling{DataType::float64, "double"},
    Spelling{DataType::float16, "half"},
    Spelling{DataType::int32, "int"},
    Spelling{DataType::float8_e4m3, "fp8_e4m3"},
    Spelling{DataType::float8_e5m2, "fp8_e5m2"},
};
constexpr std::array kReduceOps = {
    Spelling{ReduceOp::sum, "sum"},   Spelling{ReduceOp::prod, "prod"},
    Spelling{ReduceOp::min, "min"},   Spelling{ReduceOp::max, "max"},
    Spelling{ReduceOp::avg, "avg"},   Spelling{ReduceOp::premul_sum, "premul_sum"},
    Spelling{ReduceOp::band, "band"}, Spelling{ReduceOp::bor, "bor"},
    Spelling{ReduceOp::bxor, "bxor"}, Spelling{ReduceOp::custom, "custom"},
};
constexpr std::array kCollectives = {
    Spelling{Collective::all_reduce, "all_reduce"},
    Spelling{Collective::broadcast, "broadcast"},
    Spelling{Collective::barrier, "barrier"},
    Spelling{Collective::reduce_scatter, "reduce_scatter"},
    Spelling{Collective::all_gather, "all_gather"},
    Spelling{Collective::all_to_all, "all_to_all"},
    Spelling{Collective::reduce, "reduce"},
    Spelling{Collective::gather, "gather"},
    Spelling{Collective::scatter, "scatter"},
};
constexpr std::array kAlgorithms = {
    Spelling{Algorithm::automatic, "automatic"},
    Spelling{Algorithm::ring, "ring"},
    Spelling{Algorithm::recursive_doubling, "recursive_doubling"},
    Spelling{Algorithm::direct, "direct"},
    Spelling{Algorithm::binomial, "binomial"},
    Spelling{Algorithm::halving_doubling, "halving_doubling"},
    Spelling{Algorithm::tree, "tree"},
    Spelling{Algorithm::bruck, "bruck"},
    Spelling{Algorithm::scatter_all_gather, "scatter_all_gather"},
    Spelling{Algorithm::hierarchical, "hierarchical"},
    Spelling{Algorithm::one_shot, "one_shot"},
};
constexpr std::array kIbNotify = {
    Spelling{IbNotify::automatic, "auto"},
    Spelling{IbNotify::immediate, "immediate"},
    Spelling{IbNotify::send, "send"},
};
constexpr std::array kIbConnect = {
    Spelling{IbConnect::automatic, "auto"},
    Spelling{IbConnect::exchange, "exchange"},
    Spelling{IbConnect::cm, "cm"},
};

template <class Enum, std::size_t N>
std::string_view name_of(const std::array<Spelling<Enum>, N>& spellings, Enum value) {
  for (const Spelling<Enum>& s : spellings) {
    if (s.value == value) return s.name;
  }
  return "?";
}

template <class Enum, std::size_t N>
std::optional<Enum> value_of(const std::array<Spelling<Enum>, N>& spellings,
                             std::string_view name) {
  for (const Spelling<Enum>& s : spellings) {
    if (s.name == name) return s.value;
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(DataType type) {
  return name_of(kDataTypes, type);
}
std::string_view to_string(ReduceOp op) {
  return name_of(kReduceOps, op);
}
std::string_view to_string(Collective collective) {
  return name_of(kCollectives, collective);
}
std::string_view to_string(Algorithm algorithm) {
  return name_of(kAlgorithms, algorithm);
}
std::string_view to_string(IbNotify notify) {
  return name_of(kIbNotify, notify);
}
std::string_view to_string(IbConnect connect) {
  return name_of(kIbConnect, connect);
}

std::optional<DataType> data_type_from(std::string_view name) {
  return value_of(kDataTypes, name);
}
std::optional<ReduceOp> reduce_op_from(std::string_view name) {
  return value_of(kReduceOps, name);
}
std::optional<Collective> collective_from(std::string_view name) {
  return value_of(kCollectives, name);
}
std::optional<Algorithm> algorithm_from(std::string_view name) {
  return value_of(kAlgorithms, name);
}
std::optional<IbNotify> ib_notify_from(std::string_view name) {
  return value_of(kIbNotify, name);
}
std::optional<IbConnect> ib_connect_from(std::string_view name) {
  return value_of(kIbConnect, name);
}

}  // namespace paceline
