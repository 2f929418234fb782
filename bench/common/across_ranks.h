// Gathers what the ranks measured, by the library itself.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/statistics.h"
#include "paceline/paceline.hpp"

namespace paceline::bench {

/// Makes `values` the same on all ranks, element by element.
inline void combine(Communicator& comm, std::span<double> values, Across across) {
  switch (across) {
    case Across::rank0:
      comm.broadcast(values, 0);
      return;
    case Across::average:
      comm.all_reduce(values, ReduceOp::sum);
      for (double& value : values) value /= comm.size();
      return;
    case Across::min:
      comm.all_reduce(values, ReduceOp::min);
      return;
    case Across::max:
      comm.all_reduce(values, ReduceOp::max);
      return;
  }
}

inline double combine(Communicator& comm, double value, Across across) {
  combine(comm, std::span(&value, 1), across);
  return value;
}

inline std::uint64_t total(Communicator& comm, std::uint64_t value) {
  auto sum = static_cast<std::int64_t>(value);
  comm.all_reduce(std::span(&sum, 1), ReduceOp::sum);
  return static_cast<std::uint64_t>(sum);
}

/// The wires between all pairs of ranks: "shm 6 pairs, tcp 9 pairs"; "none" for one rank.
inline std::string wires_in_use(Communicator& comm) {
  static constexpr std::string_view kNames[] = {"shm", "verbs", "tcp"};
  std::int64_t links[std::size(kNames)] = {};
  for (const Wire& wire : comm.wires()) {
    for (std::size_t i = 0; i < std::size(kNames); ++i) links[i] += wire.transport == kNames[i];
  }
  comm.all_reduce(std::span<std::int64_t>(links), ReduceOp::sum);
  std::string text;
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (links[i] == 0) continue;
    const std::int64_t pairs = links[i] / 2;  // each rank of a pair counts it
    text += (text.empty() ? "" : ", ") + std::string(kNames[i]) + " " + std::to_string(pairs) +
            (pairs == 1 ? " pair" : " pairs");
  }
  return text.empty() ? "none" : text;
}

}  // namespace paceline::bench
