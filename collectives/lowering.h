// Lowering: what becomes of a schedule's step on an edge whose memory cannot all be mapped or put
// into. A pure function, so that the verifier proves the lowered form as well. It never changes
// the order of a reduction.
//
// Each rank has, behind each of the schedule's scratches, a shadow of its output of one instance
// (the same offsets). Scratch and shadow belong to the library and can always be put into.
//
//   step                               peer's memory is…   becomes
//   put(mine -> peer's output)         reachable           put
//                                      staged              put into the shadow; the peer copies
//                                      fetched, pulled     put into the shadow where the data is;
//                                                            the peer fetches it from there, unless
//                                                            it is too short to be worth it: as
//                                                            staged
//   elidable put, result already       mapped              signal
//     stored in peer's output          staged, I keep      signal; the peer copies from my scratch
//                                      staged, shadow      signal; the peer copies from its shadow
//                                        mapped
//                                      else                put (as above)
//   elidable put of my slice into      my slice mappable   signal
//     peer's scratch                     by the peer
//                                      I keep              copy into my own scratch, and signal
//                                      else                put
//   reduce, source of a peer           mapped, pulled      load it there
//                                      kept                load it in the peer's scratch
//                                      else                the fallback
//   reduce, destination of a peer      mapped              store it there
//                                      staged, I keep      store into my own scratch
//                                      staged, shadow      store into the peer's shadow
//                                        mapped
//                                      else                dropped; the put carries it
//   wait, target in my output          the peer keeps      then copy its scratch -> output
//                                      I am staged for     then copy shadow -> output
//                                        that peer
//                                      I fetch from it     then fetch what the shadow names
//   signal and wait, only if loaded    loaded, or kept     as they are
//                                      else                nothing
//
// Only what is elidable is kept, and only for a peer that can load this rank's scratch.
//
// A pulled buffer could be put into as a mapped one. That its owner fetches all the same is for
// collectives in which one end of an edge gives and the other receives: taken in turns, instance by
// instance, both ends copy half.
//
// What is fetched is read by the peer when it comes to it. So the source of such a put may be
// written over only when its owner has heard from the peer after that, which a flush does not say;
// the verifier sees to it. At the end of the operation the engine does (put_fetch.cpp).
#pragma once

#include <cstdint>

#include "collectives/schedule.h"

namespace paceline::collectives {

/// How one rank's buffer can be used by one peer over their edge.
enum class Reach : std::uint8_t {
  mapped,    ///< loaded, stored and put into
  puttable,  ///< put into only
  staged,    ///< neither: through the shadow
  fetched,   ///< neither: its owner reads what is put there from where that lies
  pulled,    ///< loaded as a mapped one, filled as a fetched one
};

/// What the two ends of an edge know of each other's buffers; both know all six.
/// Scratch is never staged.
struct EdgeReach {
  // My buffers as the peer can use them.
  Reach my_input = Reach::staged;
  Reach my_output = Reach::staged;
  Reach my_scratch = Reach::puttable;
  // The peer's buffers as I can use them.
  Reach peer_input = Reach::staged;
  Reach peer_output = Reach::staged;
  Reach peer_scratch = Reach::puttable;
  /// Elements of the shortest slice that is fetched; at least one.
  std::uint64_t shortest_fetched = 1;
  /// Whether I keep what I give, and the peer what it gives.
  bool i_keep = false;
  bool peer_keeps = false;
};

/// The edge seen from its other end.
EdgeReach mirrored(const EdgeReach& edge);

/// put, signal -> what to post.
struct LoweredPut {
  bool carries_data = true;   ///< false: only the signal
  bool into_shadow = false;   ///< target is the shadow of Step::target, else Step::target itself
  bool by_reference = false;  ///< what goes there is where the source lies, not the source
  bool into_kept = false;     ///< copied to where Step::kept says, nothing is put
};
LoweredPut lower_put(const Step& put, const EdgeReach& edge);

/// wait -> what must be done with the target afterwards.
enum class LoweredWait : std::uint8_t {
  nothing,  ///< it is filled
  copy,     ///< its shadow holds the data
  fetch,    ///< its shadow says where the data is
  load,     ///< the peer's scratch holds the data, where Step::kept says
};
LoweredWait lower_wait(const Step& wait, const EdgeReach& edge);

/// Whether a signal or wait takes place (Step::only).
bool takes_place(const Step& step, const EdgeReach& edge);

/// One operand of a reduce, of an owner that is not me.
enum class LoweredOperand : std::uint8_t {
  direct,    ///< the owner's slice, mapped
  fallback,  ///< source: Operand::fallback in my own memory
  shadow,    ///< destination: the owner's shadow, mapped
  kept,      ///< Operand::kept says where; source: in the owner's scratch, mapped; else in mine
  dropped,   ///< destination: left out
};
LoweredOperand lower_source(const Operand& operand, const EdgeReach& edge);
LoweredOperand lower_destination(const Operand& operand, const EdgeReach& edge);

}  // namespace paceline::collectives
