// What an algorithm is: a pure function from (shape, rank) to a schedule.
//
// A schedule is one rank's list of steps on symbolic slices, never on pointers. All offsets and
// lengths are in elements. The steps of one rank run in order, as if one after the other; between
// ranks only a wait orders anything.
//
//   put     write a slice of mine into a peer's slice, then signal it
//   signal  signal a peer without writing anything
//   wait    for the next put or signal of a peer
//   reduce  combine k sources, in the order given, and store the result in m destinations
//   flush   until the sources of all earlier puts may be overwritten
//
// The k-th put-or-signal from rank a to rank b matches the k-th wait of b for a, and both name the
// same slice of b's.
//
// Blocks. `Shape::count` is the length of one block. What a rank gives and gets is one block, or a
// block for each rank, in the order of the ranks:
//
//                    input                 output
//   all_reduce       1                     1
//   broadcast        the output is the input: 1, of which only the root's is filled
//   reduce           1                     1 at the root, none elsewhere
//   reduce_scatter   p                     1: the sum of everybody's block `rank`
//   all_gather       1                     p
//   all_to_all       p: block j for rank j p: block j from rank j
//   gather           1                     p at the root, none elsewhere
//   scatter          p at the root         1
//
// Block b of an input or output is its elements [b * count, (b + 1) * count), and a slice of one
// lies within one block: where the blocks of the caller's memory really are is the engine's
// business. In place, the one block is the rank's own among the p of the other buffer (all_gather,
// gather, reduce_scatter, scatter), or both are the same (all_reduce, reduce, broadcast). An
// all_to_all is never in place here.
//
// Results. A reduce that stores into an output is the last one of those elements: every rank's
// contribution is in its sources. (What is done once to a sum, like dividing it for an average, is
// done there.) The order in which contributions are combined depends on the element only, never
// on who computes it or how an edge is lowered.
//
// Mapped peers. Where a peer's memory can be loaded and stored, `reduce` may use its slices
// directly. An operand therefore names the owner and the owner's slice; a source also names the
// local slice (`fallback`) that holds the same data where mapping is not possible. A put marked
// `elidable` is the one that fills such a fallback, or that carries a result which `reduce` stores
// directly where it can: with mapping it shrinks to a signal. So one schedule describes both
// forms, and lowering.h picks per edge.
//
// Keeping. What a rank gives to a peer may, instead of being put there, be kept where the peer
// loads it: in that slot of the giver's own scratch which the same peer fills, or has just filled
// and the giver has combined. Then each line of the slot is written by the rank that was the last
// to load it, and is in its core's cache already. A step and an operand say where that is (`kept`).
// A signal back, and the wait for it, say that the peer has loaded what it was to load, and take
// place only on edges where something was.
//
// One instance of a schedule covers `Shape::count` elements. The engine cuts a large operation
// into instances, runs them in several lanes, and in each lane one instance after the other. A lane
// has two scratches at least, which its instances use in turn (even, odd, even, ...), each with a
// shadow (lowering.h): a schedule must be safe for that, and the verifier runs several instances in
// a row.
// One scratch would not do: of two ranks that exchange one put each, the faster would write its
// next instance over what the slower has yet to read, and a credit would cost a second latency.
//
// When a rank's last step is over, its output is right and no peer touches its input or output any
// more. The sources of its own last puts may still be on their way: the engine flushes once at the
// end of an operation, before the caller gets the buffers back.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "paceline/types.h"

namespace paceline::collectives {

/// The three memories of a rank in an operation. In place, input and output are the same.
enum class Buffer : std::uint8_t { input, output, scratch };

/// Elements [offset, offset + length) of a buffer.
struct Slice {
  Buffer buffer = Buffer::input;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool operator==(const Slice&) const = default;
};

enum class StepKind : std::uint8_t { put, signal, wait, reduce, flush };

/// Of a signal and a wait: on which edges they take place. See "Keeping".
enum class Only : std::uint8_t {
  always,
  if_input_loaded,   ///< where an input is not put, but loaded by the peer
  if_result_loaded,  ///< where a result is neither put nor stored there, but loaded by the peer
};

/// In place of an offset in scratch: nothing is kept.
inline constexpr std::uint64_t kNowhere = ~std::uint64_t{0};

struct Step {
  StepKind kind = StepKind::flush;
  /// put, signal, wait: the other rank.
  int peer = -1;
  /// put: my slice that is written out.
  Slice source = {};
  /// put: the peer's slice. signal: the peer's slice that is ready (length 0: none).
  /// wait: my slice that has been filled (length 0: none).
  Slice target = {};
  /// put: only signals where mapping makes the copy needless. See above.
  bool elidable = false;
  /// signal: I have loaded what the peer gave; wait: the peer what I gave.
  Only only = Only::always;
  /// put: where in my scratch the data may be kept instead. wait: where in the peer's scratch what
  /// goes to `target` may have been kept. See "Keeping".
  std::uint64_t kept = kNowhere;
  /// reduce: how many operands; Schedule::source and destination give them.
  int sources = 0;
  int destinations = 0;
};

/// One source or destination of a reduce.
struct Operand {
  int owner = -1;    ///< whose slice it is; my own rank for a local one
  Slice slice = {};  ///< in the owner's memory
  /// Sources of other owners only: the slice of mine that an elidable put has filled where the
  /// owner's slice cannot be mapped. Destinations of other owners are dropped there (an elidable
  /// put carries them).
  Slice fallback = {};
  /// Where a rank may keep what another is to load, in its own scratch: sources of other owners in
  /// the owner's, destinations of other owners in mine. See "Keeping".
  std::uint64_t kept = kNowhere;
};

/// Which instances of a schedule keep what they give, if the two ends of an edge like that.
enum class Keeping : std::uint8_t {
  never,
  always,    ///< results, in the slots that were put into
  in_turns,  ///< inputs: whatever the slots held last has been loaded by who fills them next
};

class Placement;

/// What all ranks know about an operation (or one instance of it).
struct Shape {
  int size = 1;             ///< ranks
  std::uint64_t count = 0;  ///< elements of one block
  int root = 0;             ///< broadcast, reduce, gather, scatter
  /// Chunks start at multiples of this many elements where they can, so that ranks do not write
  /// into each other's cache lines: 64 / bytes of an element.
  std::uint64_t alignment = 16;
  /// Which ranks are on which host, of `size` ranks; null: all on one. Only hierarchical asks; its
  /// schedules go on to use it.
  const Placement* placement = nullptr;
};

/// Random access with O(1) state. Immutable; any thread.
class Schedule {
 public:
  virtual ~Schedule() = default;
  [[nodiscard]] virtual std::uint64_t steps() const = 0;
  [[nodiscard]] virtual Step step(std::uint64_t i) const = 0;
  /// Operand j of the reduce at step i.
  [[nodiscard]] virtual Operand source(std::uint64_t i, int j) const = 0;
  [[nodiscard]] virtual Operand destination(std::uint64_t i, int j) const = 0;
  /// Elements of scratch that an instance needs on this rank.
  [[nodiscard]] virtual std::uint64_t scratch() const = 0;
  /// The same for all ranks.
  [[nodiscard]] virtual Keeping keeping() const { return Keeping::never; }
  /// True if this rank's output may be written while peers load its input: in place, the input then
  /// is one that they cannot load.
  [[nodiscard]] virtual bool input_apart() const { return false; }
};

inline Blocks blocks_of(Collective collective, const Shape& shape, int rank) {
  return paceline::blocks_of(collective, rank, shape.size, shape.root);
}
/// In place: which block of the longer one of input and output the other one is. Nothing where that
/// rank lacks one of the two, and for all_to_all.
std::optional<int> shared_block(Collective collective, const Shape& shape, int rank);

/// Whether the reduce at step i gives whole results: it stores into an output, also if that is a
/// peer's and gets them by a put because it cannot be mapped. See "Results" above.
bool gives_results(const Schedule& schedule, std::uint64_t i);

/// Elements of chunk `chunk` of `count` elements in `size` chunks: all chunks but the last ones
/// have the same length, a multiple of `alignment`; the last ones may be shorter or empty.
struct ChunkBounds {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};
ChunkBounds chunk_bounds(const Shape& shape, int chunk);

/// Whether make_schedule knows the pair.
bool offers(Collective collective, Algorithm algorithm);

/// How long puts are, the same for all ranks: each carries at most a chunk of a block cut into
/// `pieces`, or `blocks` whole ones.
struct Grain {
  int pieces = 1;
  int blocks = 1;
  /// How many segments long the longest may be: more than one if it stays on a host, and what goes
  /// over wires is as many times shorter.
  int segments = 1;
  /// Whether puts may travel as messages if they are short enough. A peer has room for few of those
  /// (two at least), so who puts several before the peer waits for the first could be stuck.
  bool messages = true;

  /// What a put may carry to travel as a message: a piece of a block, of which the sum comes back
  /// by another message, may be shorter than a whole block.
  [[nodiscard]] std::size_t longest_message(std::size_t eager_bytes,
                                            std::size_t eager_piece_bytes) const {
    return pieces == 1 ? eager_bytes : std::min(eager_bytes, eager_piece_bytes);
  }
};
Grain grain_of(Collective collective, Algorithm algorithm, const Shape& shape);

/// The algorithms. `rank` is 0 <= rank < shape.size. Each is described in its own file.
std::unique_ptr<Schedule> ring_all_reduce(const Shape& shape, int rank);
std::unique_ptr<Schedule> ring_reduce_scatter(const Shape& shape, int rank);
std::unique_ptr<Schedule> ring_all_gather(const Shape& shape, int rank);
std::unique_ptr<Schedule> recursive_doubling_all_reduce(const Shape& shape, int rank);
std::unique_ptr<Schedule> one_shot_all_reduce(const Shape& shape, int rank);
std::unique_ptr<Schedule> halving_doubling_all_reduce(const Shape& shape, int rank);
std::unique_ptr<Schedule> tree_all_reduce(const Shape& shape, int rank);
std::unique_ptr<Schedule> tree_broadcast(const Shape& shape, int rank);
std::unique_ptr<Schedule> tree_reduce(const Shape& shape, int rank);
std::unique_ptr<Schedule> direct_all_reduce(const Shape& shape, int rank);
std::unique_ptr<Schedule> direct_reduce(const Shape& shape, int rank);
std::unique_ptr<Schedule> direct_reduce_scatter(const Shape& shape, int rank);
std::unique_ptr<Schedule> direct_all_gather(const Shape& shape, int rank);
std::unique_ptr<Schedule> direct_all_to_all(const Shape& shape, int rank);
std::unique_ptr<Schedule> direct_broadcast(const Shape& shape, int rank);
std::unique_ptr<Schedule> direct_gather(const Shape& shape, int rank);
std::unique_ptr<Schedule> direct_scatter(const Shape& shape, int rank);
std::unique_ptr<Schedule> binomial_broadcast(const Shape& shape, int rank);
std::unique_ptr<Schedule> binomial_reduce(const Shape& shape, int rank);
std::unique_ptr<Schedule> binomial_gather(const Shape& shape, int rank);
std::unique_ptr<Schedule> binomial_scatter(const Shape& shape, int rank);
std::unique_ptr<Schedule> bruck_all_gather(const Shape& shape, int rank);
std::unique_ptr<Schedule> bruck_all_to_all(const Shape& shape, int rank);
std::unique_ptr<Schedule> scatter_all_gather_broadcast(const Shape& shape, int rank);
std::unique_ptr<Schedule> hierarchical_all_reduce(const Shape& shape, int rank);  // several hosts
std::unique_ptr<Schedule> hierarchical_reduce_scatter(const Shape& shape, int rank);
std::unique_ptr<Schedule> hierarchical_all_gather(const Shape& shape, int rank);
std::unique_ptr<Schedule> hierarchical_broadcast(const Shape& shape, int rank);

/// The algorithms that offer a collective: those for which offers() is true.
std::span<const Algorithm> algorithms_of(Collective collective);

/// The schedule of a collective by an algorithm: the one place where the two are joined. Null if
/// the algorithm does not offer the collective. A barrier is an all_reduce of nothing.
std::unique_ptr<Schedule> make_schedule(Collective collective, Algorithm algorithm,
                                        const Shape& shape, int rank);

/// The algorithm whose steps are taken in place of this one's where all buffers of all ranks are
/// mapped; nothing if it has none. Whether they are, two ranks know of each other, more do not.
/// Both combine in the same order.
std::optional<Algorithm> mapped_form(Collective collective, Algorithm algorithm, int size);

}  // namespace paceline::collectives
