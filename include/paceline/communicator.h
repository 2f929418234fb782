// A fixed group of ranks that call collectives together and send to each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "paceline/config.h"
#include "paceline/counts.h"
#include "paceline/error.h"
#include "paceline/export.h"
#include "paceline/history.h"
#include "paceline/memory.h"
#include "paceline/reduction.h"
#include "paceline/store.h"
#include "paceline/types.h"
#include "paceline/usage.h"
#include "paceline/work.h"

namespace paceline {

class CommunicatorCore;

/// Which wire an algorithm would use between this rank and a peer, and for what reason.
struct Wire {
  int peer = 0;
  std::string transport;  ///< "shm", "verbs", "tcp"; "self" for this rank
  std::string reason;     ///< one sentence: why not a faster one
};

/// What a single call asks for; all ranks ask for the same.
struct CallOptions {
  /// Instead of the one that the library would choose. One that does not offer the collective is an
  /// invalid_argument.
  Algorithm algorithm = Algorithm::automatic;
};

/// A group of ranks. All ranks must issue the same collectives on one Communicator in the same
/// order; a difference is found and reported, it never overwrites memory. Sends and recvs are
/// between two ranks, and in no order with collectives.
///
/// Threads: calls on one Communicator are serialised by a lock, so several threads may use it as
/// long as the order of their calls is the same on every rank. `abort()` may be called at any
/// time from any thread.
///
/// Buffers: any pointer aligned to its element type. `in` and `out` are in place as the call says
/// (equal, unless it says otherwise), or disjoint. Zero elements are fine everywhere, and then the
/// pointers may be null.
///
/// Errors: every call throws paceline::Error. The first failure (a peer's death, a time-out, a
/// mismatch, abort) makes the Communicator failed for good: all later calls throw that same
/// error, and nothing is written into any caller's buffer after the throw. An invalid_argument is
/// thrown before anything is sent and leaves the Communicator usable.
///
/// Fork: a child of fork() cannot use a Communicator of its parent, nor what came from it: calls
/// throw invalid_argument there and destructors do nothing. The parent goes on. See
/// docs/design/threads.md.
class PACELINE_API Communicator {
 public:
  /// A Communicator from Config::from_environment(): under mpirun, srun, torchrun or with
  /// PACELINE_* set. Without any of them a communicator of one rank. Blocks until all ranks have
  /// met, at most Config::timeout.
  static Communicator from_environment();
  /// The same from an explicit Config.
  static Communicator create(const Config& config);
  /// Ranks meet in `store`; Config::rank and size must be set. `name` tells several
  /// communicators in one store apart.
  static Communicator create(const Config& config, std::shared_ptr<Store> store,
                             const std::string& name = "world");

  Communicator(Communicator&&) noexcept;
  Communicator& operator=(Communicator&&) noexcept;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  /// Leaves the group in an orderly way; does not wait for others. Unfinished Work fails.
  ~Communicator();

  [[nodiscard]] int rank() const noexcept;
  [[nodiscard]] int size() const noexcept;
  /// Ranks with the same host id as this one, itself included.
  [[nodiscard]] int ranks_on_host() const noexcept;
  /// Number of different host ids.
  [[nodiscard]] int hosts() const noexcept;
  /// The Config in force, with rank 0's values for what all ranks share.
  [[nodiscard]] const Config& config() const noexcept;
  /// One entry per rank.
  [[nodiscard]] std::vector<Wire> wires() const;
  /// The algorithm that a call with blocks of `count` elements would take; the same on every rank.
  [[nodiscard]] Algorithm algorithm_for(Collective collective, std::size_t count,
                                        DataType type) const;

  /// What this rank's side holds of the process's resources. Waits for a call in another thread.
  [[nodiscard]] Usage usage() const;

  // --- memory --------------------------------------------------------------------------------
  /// `bytes` of registered memory, 64-byte aligned, zeroed; the fastest kind for every call.
  [[nodiscard]] Memory allocate(std::size_t bytes, Device device = Device::host());
  /// Registers memory of the caller's for as long as the returned object lives, which saves RDMA
  /// transports a registration per new buffer. What kind of memory it is, is found by asking.
  [[nodiscard]] Memory register_memory(void* pointer, std::size_t bytes);

  // --- collectives ---------------------------------------------------------------------------
  // `count` is that of one block: where a buffer holds a block for each rank, in the order of the
  // ranks, it has size() * count elements. Every call has a form that returns Work; see work.h.
  // `op` is a ReduceOp, Reduction::premul_sum(factor) or Reduction::custom(function).

  /// out[i] = in_0[i] op in_1[i] op ... over all ranks; `count` elements on every rank; all ranks
  /// get the same bits.
  void all_reduce(const void* in, void* out, std::size_t count, DataType type, const Reduction& op,
                  const CallOptions& options = {});
  Work all_reduce_async(const void* in, void* out, std::size_t count, DataType type,
                        const Reduction& op, const CallOptions& options = {});

  /// Rank r gets block r of what all_reduce of `in`, size() blocks, would give: `count` elements.
  /// In place: out = in + rank() * count elements; the other blocks of `in` stay as they are.
  void reduce_scatter(const void* in, void* out, std::size_t count, DataType type,
                      const Reduction& op, const CallOptions& options = {});
  Work reduce_scatter_async(const void* in, void* out, std::size_t count, DataType type,
                            const Reduction& op, const CallOptions& options = {});

  /// Block r of `out`, size() blocks, is the `count` elements of rank r.
  /// In place: in = out + rank() * count elements.
  void all_gather(const void* in, void* out, std::size_t count, DataType type,
                  const CallOptions& options = {});
  Work all_gather_async(const void* in, void* out, std::size_t count, DataType type,
                        const CallOptions& options = {});

  /// Block j of `in` goes to rank j, block j of `out` comes from rank j; size() blocks of `count`
  /// elements each. In place: in = out; that copies `in` aside first.
  void all_to_all(const void* in, void* out, std::size_t count, DataType type,
                  const CallOptions& options = {});
  Work all_to_all_async(const void* in, void* out, std::size_t count, DataType type,
                        const CallOptions& options = {});

  /// `count` elements of `root`'s buffer into everybody's.
  void broadcast(void* buffer, std::size_t count, DataType type, int root,
                 const CallOptions& options = {});
  Work broadcast_async(void* buffer, std::size_t count, DataType type, int root,
                       const CallOptions& options = {});

  /// As all_reduce, but only `root` gets the result; `out` counts there only.
  void reduce(const void* in, void* out, std::size_t count, DataType type, const Reduction& op,
              int root, const CallOptions& options = {});
  Work reduce_async(const void* in, void* out, std::size_t count, DataType type,
                    const Reduction& op, int root, const CallOptions& options = {});

  /// As all_gather, but only `root` gets the result; `out` counts there only.
  void gather(const void* in, void* out, std::size_t count, DataType type, int root,
              const CallOptions& options = {});
  Work gather_async(const void* in, void* out, std::size_t count, DataType type, int root,
                    const CallOptions& options = {});

  /// Block r of `root`'s `in`, size() blocks, goes to rank r; `in` counts there only.
  /// In place at the root: out = in + rank() * count elements.
  void scatter(const void* in, void* out, std::size_t count, DataType type, int root,
               const CallOptions& options = {});
  Work scatter_async(const void* in, void* out, std::size_t count, DataType type, int root,
                     const CallOptions& options = {});

  /// Returns when every rank has called it.
  void barrier();
  Work barrier_async();

  // The same with a length per rank (MPI's v-forms). In place: the one block is the own one of the
  // others, as above, or in = out for all_to_all_v. Two ranks that disagree about what one gives
  // the other get Error (mismatch) before anything is written. They take the algorithm `direct`.

  /// Block r of `out` is the counts[r] elements of rank r. All ranks give the same counts.
  void all_gather_v(const void* in, void* out, const CountsPerRank& blocks, DataType type);
  Work all_gather_v_async(const void* in, void* out, const CountsPerRank& blocks, DataType type);

  /// Rank r gets block r of `in`, combined over all ranks. All ranks give the same counts.
  void reduce_scatter_v(const void* in, void* out, const CountsPerRank& blocks, DataType type,
                        const Reduction& op);
  Work reduce_scatter_v_async(const void* in, void* out, const CountsPerRank& blocks, DataType type,
                              const Reduction& op);

  /// Block j of `in` goes to rank j, block j of `out` comes from rank j.
  void all_to_all_v(const void* in, const CountsPerRank& in_blocks, void* out,
                    const CountsPerRank& out_blocks, DataType type);
  Work all_to_all_v_async(const void* in, const CountsPerRank& in_blocks, void* out,
                          const CountsPerRank& out_blocks, DataType type);

  /// `count` elements of each rank into block r of `root`'s `out`; `out` and `blocks` count there
  /// only.
  void gather_v(const void* in, std::size_t count, void* out, const CountsPerRank& blocks,
                DataType type, int root);
  Work gather_v_async(const void* in, std::size_t count, void* out, const CountsPerRank& blocks,
                      DataType type, int root);

  /// Block r of `root`'s `in` to rank r, which expects `count` elements; `in` and `blocks` count at
  /// the root only.
  void scatter_v(const void* in, const CountsPerRank& blocks, void* out, std::size_t count,
                 DataType type, int root);
  Work scatter_v_async(const void* in, const CountsPerRank& blocks, void* out, std::size_t count,
                       DataType type, int root);

  // --- point to point ------------------------------------------------------------------------
  // A send is received by the recv of its peer with the same tag. Those of one tag between the same
  // two ranks, in the same direction, are matched in the order of the calls; those of different
  // tags have nothing to do with each other. Both ends give the same count and type: a difference
  // is an Error on all ranks that names both calls, and nothing is written.
  //
  // A rank may send to itself. Collectives and messages neither wait for each other nor get in each
  // other's way. A blocking call returns when its buffer may be used again; a send may wait for
  // that until the peer receives. Two ranks that send to each other before they receive therefore
  // call one of the two asynchronously.

  /// Sends `count` elements to `peer`. 0 <= tag.
  void send(const void* buffer, std::size_t count, DataType type, int peer, int tag = 0);
  Work send_async(const void* buffer, std::size_t count, DataType type, int peer, int tag = 0);

  /// Receives exactly `count` elements from `peer`. 0 <= tag.
  void recv(void* buffer, std::size_t count, DataType type, int peer, int tag = 0);
  Work recv_async(void* buffer, std::size_t count, DataType type, int peer, int tag = 0);

  template <class T>
  void send(std::span<const T> buffer, int peer, int tag = 0) {
    send(buffer.data(), buffer.size(), DataTypeOf<T>::value, peer, tag);
  }
  template <class T>
  void send(std::span<T> buffer, int peer, int tag = 0) {
    send(std::span<const T>(buffer), peer, tag);
  }
  template <class T>
  Work send_async(std::span<const T> buffer, int peer, int tag = 0) {
    return send_async(buffer.data(), buffer.size(), DataTypeOf<T>::value, peer, tag);
  }
  template <class T>
  Work send_async(std::span<T> buffer, int peer, int tag = 0) {
    return send_async(std::span<const T>(buffer), peer, tag);
  }
  template <class T>
  void recv(std::span<T> buffer, int peer, int tag = 0) {
    recv(buffer.data(), buffer.size(), DataTypeOf<T>::value, peer, tag);
  }
  template <class T>
  Work recv_async(std::span<T> buffer, int peer, int tag = 0) {
    return recv_async(buffer.data(), buffer.size(), DataTypeOf<T>::value, peer, tag);
  }

  // Typed forms of the collectives. One span: in place, as above (the buffer of size() blocks,
  // where there is one). Two spans: out of place; lengths that do not fit throw invalid_argument.
  template <class T>
  void all_reduce(std::span<T> inout, const Reduction& op) {
    all_reduce(inout.data(), inout.data(), inout.size(), DataTypeOf<T>::value, op);
  }
  template <class T>
  void all_reduce(std::span<const T> in, std::span<T> out, const Reduction& op) {
    require_same_length(in.size(), out.size());
    all_reduce(in.data(), out.data(), out.size(), DataTypeOf<T>::value, op);
  }
  template <class T>
  Work all_reduce_async(std::span<T> inout, const Reduction& op) {
    return all_reduce_async(inout.data(), inout.data(), inout.size(), DataTypeOf<T>::value, op);
  }
  template <class T>
  void reduce_scatter(std::span<const T> in, std::span<T> out, const Reduction& op) {
    const std::size_t count = require_blocks(in.size(), out.size(), "in");
    reduce_scatter(in.data(), out.data(), count, DataTypeOf<T>::value, op);
  }
  template <class T>
  void all_gather(std::span<const T> in, std::span<T> out) {
    const std::size_t count = require_blocks(out.size(), in.size(), "out");
    all_gather(in.data(), out.data(), count, DataTypeOf<T>::value);
  }
  template <class T>
  void all_gather(std::span<T> inout) {
    const std::size_t count = require_divisible(inout.size());
    const T* const own = inout.data() + static_cast<std::size_t>(rank()) * count;
    all_gather(own, inout.data(), count, DataTypeOf<T>::value);
  }
  template <class T>
  void all_to_all(std::span<const T> in, std::span<T> out) {
    require_same_length(in.size(), out.size());
    all_to_all(in.data(), out.data(), require_divisible(in.size()), DataTypeOf<T>::value);
  }
  template <class T>
  void broadcast(std::span<T> buffer, int root) {
    broadcast(buffer.data(), buffer.size(), DataTypeOf<T>::value, root);
  }
  template <class T>
  void reduce(std::span<T> inout, const Reduction& op, int root) {
    reduce(inout.data(), inout.data(), inout.size(), DataTypeOf<T>::value, op, root);
  }
  /// `out` may be empty beside the root.
  template <class T>
  void gather(std::span<const T> in, std::span<T> out, int root) {
    if (rank() == root) (void)require_blocks(out.size(), in.size(), "out");
    gather(in.data(), out.data(), in.size(), DataTypeOf<T>::value, root);
  }
  /// `in` may be empty beside the root.
  template <class T>
  void scatter(std::span<const T> in, std::span<T> out, int root) {
    if (rank() == root) (void)require_blocks(in.size(), out.size(), "in");
    scatter(in.data(), out.data(), out.size(), DataTypeOf<T>::value, root);
  }

  // --- groups ----------------------------------------------------------------------------------
  /// From here to group_end() collectives are only collected (the blocking forms; their buffers
  /// must not be touched until then), and then launched together: small ones of the same kind
  /// (collective, type, operation, root) travel as one. All ranks group the same calls. The bits of
  /// a sum may differ from those of the call alone, as with another count. Sends and recvs start at
  /// once, so that two ranks may send to each other before they receive; group_end() waits for
  /// them.
  void group_begin();
  /// Runs what was collected, and returns when all of it is done.
  void group_end();
  /// Starts it; the Work is done when all of it is.
  Work group_end_async();
  /// Drops what was collected, as all ranks do. Throws invalid_argument if sends or recvs have
  /// started.
  void group_cancel();

  // --- more communicators ----------------------------------------------------------------------
  /// New communicators of those ranks that give the same `color`, numbered by ascending `key`, and
  /// by their old numbers where keys are equal. Called by all ranks; one that gives a negative
  /// color gets nothing. They meet over this one's control links, at most for Config::timeout;
  /// afterwards the communicators have nothing to do with each other, and may be used by different
  /// threads.
  [[nodiscard]] std::optional<Communicator> split(int color, int key = 0);
  /// A second communicator of the same ranks with the same numbers. Called by all ranks.
  [[nodiscard]] Communicator duplicate();

  // --- trouble -------------------------------------------------------------------------------
  /// Fails the Communicator on every rank, with `reason` in everybody's error text. Returns at
  /// once; any thread.
  void abort(const std::string& reason = "abort() was called");
  /// From now on a thread that waits in a blocking call or in Work::wait() calls `ask` every 50 ms
  /// (the first time after 50 ms, so that quick calls pay nothing). A reason, any text, ends the
  /// wait as abort(reason) would: for programs that are to react to signals. It must not call the
  /// Communicator, but for abort(), and must not throw. An empty function: nobody is asked.
  void while_waiting(std::function<std::string()> ask);
  /// True once it has failed; never blocks; any thread.
  [[nodiscard]] bool failed() const noexcept;
  /// The last calls, oldest first, at most Config::history of them; also after it has failed.
  /// Waits for a call that another thread is in.
  [[nodiscard]] std::vector<OperationRecord> history() const;
  /// The same into a file, over whatever it held. Throws invalid_argument if that cannot be done.
  void write_history(const std::string& path, HistoryFormat format) const;

  /// After a failure: which ranks are left, ascending; the same list on all of them. Called by all
  /// that are alive; those that do not within Config::timeout are left out, as are ranks that die
  /// meanwhile or were silent for longer than Config::heartbeat_timeout. Throws Error (peer_failed)
  /// on a rank that the others go on without, and (invalid_argument) if nothing has failed.
  /// A network that is cut in two leaves two groups that take each other for dead.
  [[nodiscard]] std::vector<int> survivors();
  /// After a failure: a new Communicator of the survivors, on which they are numbered in the old
  /// order. They agree as in survivors() and meet over the control links that are left, so nothing
  /// from outside is needed. Called by all that are alive. If a rank dies before the new one
  /// stands, it throws, and shrink() may be called again. Buffers from the old communicator's
  /// allocate() stay valid memory, but are registered with nothing any more.
  [[nodiscard]] Communicator shrink();

 private:
  explicit Communicator(std::shared_ptr<CommunicatorCore> core);
  static void require_same_length(std::size_t in, std::size_t out);
  /// The length of a block, which is `shorter`.
  std::size_t require_blocks(std::size_t longer, std::size_t shorter, const char* what) const;
  [[nodiscard]] std::size_t require_divisible(std::size_t elements) const;
  std::shared_ptr<CommunicatorCore> core_;
};

/// "0.1.0".
PACELINE_API std::string version();

}  // namespace paceline
