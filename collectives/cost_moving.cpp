// What collectives that only move data cost: broadcast, all_gather, all_to_all, gather, scatter.
// The letters are those of cost_reducing.cpp.
#include "collectives/cost_course.h"
#include "collectives/topology.h"

namespace paceline::collectives {

// Thakur et al., 4.2 "binomial tree": log2(p) (A + n b), and the acknowledgement of the last child.
Course binomial_broadcast_course(const Wires& w, double n) {
  Course c;
  for (int k = 0; k < w.depth(); ++k) c.path += w.across(1 << k, 1, n, 1);
  c.path += w.signal();
  c.link = n;
  c.port = c.host = w.rounds() * n;
  c.peers = w.rounds();
  c.posts = 2 * c.peers;
  // The root goes on when its own children have it.
  c.period = w.across(w.ranks / 2, w.rounds(), n, 1) + w.signal();
  return c;
}

// Sanders et al., down only, as in cost_reducing.cpp; a leaf of one tree acknowledges when the
// other has reached it too.
Course tree_broadcast_course(const Wires& w, double n) {
  Course c;
  c.path = along_two_trees(w, n) + w.signal();
  c.link = tree_link(w, n);
  c.port = c.host = n;
  c.posts = 8;
  c.peers = std::min(w.ranks - 1, 4);
  return c;
}

// Thakur et al., 4.2 "van de Geijn" have log2(p) A + (p-1)/p n b for the scatter and then
// (p-1) A + (p-1)/p n b for the ring. Here the ring does not wait for the scatter: only its second
// half does, whose chunks are the first put of the root, of n/2. Then come the acknowledgements, up
// the tree.
Course scatter_all_gather_course(const Wires& w, double n) {
  const double chunk = n / w.ranks;
  Course c;
  const int half = w.ranks / 2;
  c.path = (w.ranks - 1) * w.neighbour(chunk) + w.depth() * w.signal() +
           w.across(half, 1, half * chunk, 1) - w.across(half, 1, 0, 1);
  c.link = n;
  c.port = c.host = 2 * (w.ranks - 1) * chunk;
  c.posts = 2 * (w.ranks + w.rounds());
  c.peers = w.rounds() + 1;
  return c;
}

// The root puts n to each of p-1: A + (p-1) n b, a copy, and an acknowledgement. Mapped: a signal,
// and everybody loads n at the same time.
Course direct_broadcast_course(const Wires& w, double n) {
  Course c;
  c.path = w.all_others(n, 1) + w.combine(1, n) + w.signal(w.ranks - 1);
  c.mapped = w.mapped && w.local > 1 ? n : 0;
  c.path += w.touch(c.mapped);
  c.link = n;
  c.host = (w.ranks - w.local) * n;
  c.port = w.mapped ? c.host : (w.ranks - 1) * n;
  c.read = n;
  c.peers = w.ranks - 1;
  c.posts = 2 * c.peers;
  return c;
}

// Thakur et al., 4.1 "ring": (p-1) (A + n b); and a rank's own copy.
Course ring_all_gather_course(const Wires& w, double n) {
  const double turns = w.ranks - 1;
  Course c;
  c.path = turns * w.neighbour(n) + w.combine(1, n);
  c.link = c.port = c.host = turns * n;
  c.read = n;
  c.posts = 2 * turns;
  c.peers = std::min(w.ranks - 1, 2);
  return c;
}

// Thakur et al., 4.1 "Bruck": log2(p) A + (p-1) n b, a copy into the scratch and p copies out of
// it.
Course bruck_all_gather_course(const Wires& w, double n) {
  Course c;
  c.path = w.combine(w.ranks + 1, n);
  for (int d = 1; d < w.ranks; d *= 2) {
    const double blocks = std::min(d, w.ranks - d);
    c.path += w.across(d, 1, blocks * n, std::min(d, w.local));
    c.link = std::max(c.link, blocks * n);
  }
  c.port = (w.ranks - 1) * n;
  c.host = static_cast<double>(w.ranks - w.local) * n;
  c.read = (w.ranks + 1) * n;
  c.peers = 2 * w.rounds();
  c.posts = c.peers;
  return c;
}

// All pairs: A + (p-1) n b, and a copy. Mapped: one pass stores n for everybody.
Course direct_all_gather_course(const Wires& w, double n) {
  Course c;
  c.path = w.all_others(n, w.local) + w.combine(1, n);
  c.mapped = w.mapped ? (w.local - 1) * n : 0;
  c.path += w.touch(c.mapped);
  c.link = n;
  c.port = (w.mapped ? w.ranks - w.local : w.ranks - 1) * n;
  c.host = static_cast<double>(w.local) * (w.ranks - w.local) * n;
  c.read = n;
  c.peers = w.ranks - 1;
  c.posts = 2 * c.peers;
  return c;
}

namespace {

/// How many of the distances 0 .. ranks-1 have the bit `d` set.
double distances_with(int d, int ranks) {
  return ranks / (2 * d) * d + std::max(0, ranks % (2 * d) - d);
}

}  // namespace

// Bruck et al., 1997: log2(p) (A + p/2 n b), with about p/2 blocks packed in each round, and p
// unpacked in the end.
Course bruck_all_to_all_course(const Wires& w, double n) {
  Course c;
  c.path = w.combine(w.ranks, n);
  c.read = w.ranks * n;
  for (int d = 1; d < w.ranks; d *= 2) {
    const double part = distances_with(d, w.ranks) * n;
    c.path += w.combine(1, part) + w.across(d, 1, part, std::min(d, w.local));
    c.link = std::max(c.link, part);
    c.port += part;
    c.read += part;
    if (w.crosses(d)) c.host += std::min(d, w.local) * part;
  }
  c.peers = 2 * w.rounds();
  c.posts = c.peers;
  return c;
}

// All pairs, as above, but each block goes to one rank: a put, whether mapped or not.
Course direct_all_to_all_course(const Wires& w, double n) {
  Course c;
  c.path = w.all_others_unmapped(n, w.local) + w.combine(1, n);
  c.link = n;
  c.port = (w.ranks - 1) * n;
  c.host = static_cast<double>(w.local) * (w.ranks - w.local) * n;
  c.read = n;
  c.peers = w.ranks - 1;
  c.posts = 2 * c.peers;
  return c;
}

namespace {

/// log2(p) puts between a rank and the root, the longest way: subtrees of 1, 2, 4, ... blocks.
/// Thakur et al., 4.1: log2(p) A + (p-1) n b.
double along_the_subtrees(const Wires& w, double n) {
  double path = 0;
  for (int k = 0; k < w.depth(); ++k) {
    path += w.across(1 << k, 1, std::min(1 << k, w.ranks - (1 << k)) * n, 1);
  }
  return path;
}

}  // namespace

// The subtrees, the copies out of the scratch, and the credit that goes down the tree again.
Course binomial_gather_course(const Wires& w, double n) {
  const int largest = BinomialTree{.size = w.ranks}.largest_subtree();
  Course c;
  c.path =
      along_the_subtrees(w, n) + w.combine(w.ranks, n) + std::max(0, w.depth() - 2) * w.signal();
  c.link = largest * n;
  c.port = c.host = (w.ranks - 1) * n;
  c.read = w.ranks * n;
  c.peers = w.rounds();
  c.posts = 2 * c.peers;
  return c;
}

// Everybody puts to the root at once: A + (p-1) n b, and the acknowledgement.
Course direct_gather_course(const Wires& w, double n) {
  Course c;
  c.path = w.all_others_unmapped(n, 1) + w.signal(w.ranks - 1);
  c.link = n;
  c.port = (w.ranks - 1) * n;
  c.host = (w.ranks - w.local) * n;
  c.read = n;
  c.peers = w.ranks - 1;
  c.posts = 2 * c.peers;
  return c;
}

// The root's copies into its scratch, the subtrees, and the acknowledgement of the last child.
Course binomial_scatter_course(const Wires& w, double n) {
  const int largest = BinomialTree{.size = w.ranks}.largest_subtree();
  Course c;
  c.path = w.combine(w.ranks, n) + along_the_subtrees(w, n) + w.signal();
  c.link = largest * n;
  c.port = c.host = (w.ranks - 1) * n;
  c.read = w.ranks * n;
  c.peers = w.rounds();
  c.posts = 2 * c.peers;
  c.period = w.combine(w.ranks, n) + w.across(w.ranks / 2, c.peers, largest * n, 1) + w.signal();
  return c;
}

// As a direct broadcast, but each rank has a block of its own.
Course direct_scatter_course(const Wires& w, double n) {
  return direct_broadcast_course(w, n);
}

}  // namespace paceline::collectives
