// Every knob of the library, typed and documented, in one place.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "paceline/export.h"
#include "paceline/log.h"
#include "paceline/types.h"

namespace paceline {

/// How the ranks were told who they are.
enum class Launcher : std::uint8_t {
  none,       ///< nobody did: one rank
  paceline,   ///< PACELINE_RANK and PACELINE_SIZE, by hand or by a job script
  open_mpi,   ///< Open MPI's mpirun
  torchrun,   ///< torchrun, or a script that sets RANK and WORLD_SIZE as it does
  mpich,      ///< MPICH's mpiexec (Hydra), or another that speaks PMI-1
  intel_mpi,  ///< Intel MPI's mpiexec
  slurm,      ///< srun
  pmix,       ///< another launcher that speaks PMIx, e.g. prterun
};

PACELINE_API std::string_view to_string(Launcher launcher);

/// What a Communicator is made from. A plain value: fill it by hand, or take
/// `Config::from_environment()`, which reads every variable named below and nothing else.
/// All times are wall-clock durations; all sizes are bytes.
struct PACELINE_API Config {
  // --- who and where -------------------------------------------------------------------------
  /// Who told us; PACELINE_* wins over a launcher's variables.
  Launcher launcher = Launcher::none;
  /// This process's number, 0 <= rank < size. PACELINE_RANK, or the launcher's variable.
  int rank = 0;
  /// How many ranks there are. PACELINE_SIZE, or the launcher's variable. 0: only the launcher's
  /// channel knows (mpiexec -pmi-port, prterun); Communicator::create asks it.
  int size = 1;
  /// "host:port" or "[v6]:port" where rank 0 listens for the others. PACELINE_ROOT, torchrun's
  /// MASTER_ADDR and MASTER_PORT, or the first host of a step of srun. Empty where a Store or the
  /// launcher's own channel serves.
  std::string root;
  /// The launcher's own channel, through which the ranks meet where there is neither a Store nor a
  /// root: "pmix", "pmi:fd=8" or "pmi:port=host:4711,id=3". Filled from the launcher's variables;
  /// empty: there is none.
  std::string channel;
  /// Shared by the ranks of one job only; at least 16 bytes. PACELINE_SECRET, or the content of
  /// the file named by PACELINE_SECRET_FILE (trailing newline dropped). Without one, and without
  /// a launcher that hands one out, only loopback addresses are served.
  std::string secret;
  /// Network interface whose address the links use, e.g. "eth0". PACELINE_INTERFACE. Empty: the
  /// one that routes to the root.
  std::string interface_name;
  /// First and last TCP port that may be listened on; 0-0 means any. PACELINE_PORTS=20000-20100.
  std::uint16_t port_first = 0;
  std::uint16_t port_last = 0;
  /// Ranks with equal host ids use shared memory. Empty: boot id + network namespace.
  /// PACELINE_HOST_ID makes several "hosts" out of one machine.
  std::string host_id;

  // --- wires ---------------------------------------------------------------------------------
  /// Allowed transports, out of "shm", "verbs", "tcp". For each pair of ranks the first of that
  /// order that is allowed and works is taken. PACELINE_TRANSPORT=shm,tcp.
  std::vector<std::string> transports = {"shm", "verbs", "tcp"};
  /// RDMA device, e.g. "mlx5_0"; empty: the first usable one. PACELINE_IB_DEVICE.
  std::string ib_device;
  /// RoCE GID index; unset: chosen from the GID table. PACELINE_IB_GID_INDEX.
  std::optional<int> ib_gid_index;
  /// How RDMA links say that data has arrived; both ends agree on what both can do.
  /// PACELINE_IB_NOTIFY=auto|immediate|send.
  IbNotify ib_notify = IbNotify::automatic;
  /// How RDMA links connect; the same on all ranks. PACELINE_IB_CONNECT=auto|exchange|cm.
  IbConnect ib_connect = IbConnect::automatic;
  /// Parallel TCP streams per pair of ranks, 1..8. PACELINE_TCP_LINKS.
  int tcp_links = 2;
  /// How TCP reacts to a full network, by the kernel's name for it: "reno", "cubic", "bbr", as far
  /// as /proc/sys/net/ipv4/tcp_allowed_congestion_control has it. Empty: the system's choice.
  /// PACELINE_TCP_CONGESTION.
  std::string tcp_congestion;

  // --- how collectives run (rank 0's values are used by all ranks) ---------------------------
  /// PACELINE_ALGORITHM=ring|recursive_doubling|direct; automatic chooses by what the cost model
  /// predicts.
  Algorithm algorithm = Algorithm::automatic;
  /// A file with parameters and rules for that choice (docs/tuning.md). Only rank 0 reads it, and
  /// hands it out. Empty: the built-in parameters. PACELINE_TUNING.
  std::string tuning;
  /// Up to this many bytes travel as messages, without being announced first, 0..131072; where
  /// ranks are linked by shared memory or RDMA, 4096 at most, and in shared memory 2048 of what an
  /// algorithm cuts into pieces, unless ranks share cores. PACELINE_EAGER_BYTES.
  std::size_t eager_bytes = 131072;
  /// Bytes of one rank's share in one turn of the pipeline, 4 KiB..16 MiB, a multiple of 64. 0:
  /// chosen for each call, like the algorithm. PACELINE_SEGMENT_BYTES.
  std::size_t segment_bytes = 0;
  /// Parallel pipelines, 1..8. 0: chosen for each call, like the algorithm. PACELINE_LANES.
  int lanes = 0;

  // --- time ----------------------------------------------------------------------------------
  /// How long an operation may go without any progress before it fails, and how long the ranks may
  /// take to meet.
  /// PACELINE_TIMEOUT, in seconds (fractions allowed).
  std::chrono::milliseconds timeout{60'000};
  /// A rank whose control link is silent for this long counts as failed.
  /// PACELINE_HEARTBEAT_TIMEOUT, in seconds.
  std::chrono::milliseconds heartbeat_timeout{10'000};

  // --- what it says of what it does (docs/logging.md) ----------------------------------------
  /// How much is logged, and of single parts more or less. PACELINE_LOG=info,bootstrap=debug.
  LogLevel log_level = LogLevel::warning;
  std::map<LogComponent, LogLevel> log_components;
  /// Where to; empty: stderr. %r is the rank, %h the host, %p the process id, %c the communicator's
  /// name. Lines are appended. PACELINE_LOG_FILE.
  std::string log_file;
  /// How many of its last calls a Communicator remembers, 64..65536. PACELINE_HISTORY.
  std::size_t history = 256;
  /// A file that the history is written to when the communicator ends, and before the Error of a
  /// failure is thrown, in the format that chrome://tracing and Perfetto read; the same % as in
  /// log_file, and %r where there are several ranks. Empty: none. PACELINE_TRACE.
  std::string trace_file;

  /// Reads the process's environment: the only getenv of the library. Throws Error
  /// (invalid_configuration) for a value out of range and for a PACELINE_ variable that does not
  /// exist, with the nearest one that does.
  static Config from_environment();

  /// The same from a given environment, which makes it a pure function.
  static Config from(const std::map<std::string, std::string>& environment);

  /// Throws Error (invalid_configuration) if a field is out of its range or fields contradict.
  void validate() const;
};

}  // namespace paceline
