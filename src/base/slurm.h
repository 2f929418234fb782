// What Slurm's variables say about where the ranks of a step can meet, where srun offers no channel
// of its own (srun --mpi=none). Pure functions of text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace paceline {

/// The first host of a list such as "node[01-03,7],b02", which is where srun puts rank 0 unless it
/// is told otherwise ("node01"); empty if the text is no such list.
std::optional<std::string> first_host_of(std::string_view node_list);

/// Where rank 0 of a step listens: above the ports of well-known services and below those that
/// Linux hands out by itself (from 32768), so that no connection of another program takes it first.
inline constexpr std::uint16_t kSlurmFirstPort = 24'000;
inline constexpr std::uint16_t kSlurmLastPort = 31'999;

/// The port of one step, worked out alike by all of its ranks: 24000 + (61 job + step) mod 8000.
/// Steps of one job and jobs that follow each other get different ones; steps that are further
/// apart may collide, which rank 0 notices when it listens.
std::uint16_t slurm_port(std::uint64_t job, std::uint64_t step);

}  // namespace paceline
