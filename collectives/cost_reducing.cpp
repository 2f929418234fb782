// What collectives that combine cost: all_reduce, reduce_scatter, reduce.
//
// p ranks, n bytes of a block; A: a stage's start (alpha and posts); b, g: beta and gamma. The
// comment of each function is its formula for one level of links that share a port. "path" and the
// rest are those of cost_course.h.
#include "collectives/cost_course.h"
#include "collectives/topology.h"

namespace paceline::collectives {

// Thakur et al., 4.5 "ring": 2(p-1) A + 2(p-1)/p n b + (p-1)/p 2n g.
Course ring_all_reduce_course(const Wires& w, double n) {
  const double turns = w.ranks - 1;
  const double chunk = n / w.ranks;
  Course c;
  c.path = turns * (2 * w.neighbour(chunk) + w.combine(2, chunk));
  c.link = c.port = c.host = 2 * turns * chunk;
  c.read = 2 * turns * chunk;
  c.posts = 4 * turns;
  c.peers = std::min(w.ranks - 1, 2);
  return c;
}

namespace {

/// What guests (topology.h) add: `puts` of their input before and of the result after. In between
/// their hosts combine once more.
double guests_path(const Wires& w, const Folding& folding, double puts, double n) {
  return folding.guests == 0 ? 0 : puts * w.neighbour(n) + w.combine(2, n);
}

}  // namespace

// Thakur et al., 4.5 "recursive doubling": log2(p) (A + n b + 2n g), and the guests'. A
// host does not wait for itself: with one guest alone, the longest way has either of its two puts.
Course recursive_doubling_course(const Wires& w, double n) {
  const Folding folding(w.ranks);
  Course c;
  for (int k = 0; k < folding.rounds; ++k) {
    c.path += w.across(1 << k, 1, n, w.local) + w.combine(2, n);
    if (w.crosses(1 << k)) c.host += w.local * n;
  }
  c.path += guests_path(w, folding, folding.guests > 1 ? 2 : 1, n);
  const double exchanges = folding.rounds + (folding.guests > 0 ? 1 : 0);
  c.link = n;
  c.port = exchanges * n;
  c.read = 2 * exchanges * n;
  c.posts = 2 * exchanges;
  c.peers = exchanges;
  return c;
}

// One all-pairs exchange of whole blocks: A + (p-1) n b + p n g, and p-2 more messages to take.
Course one_shot_course(const Wires& w, double n) {
  Course c;
  c.path = w.all_others_unmapped(n, w.local) + w.taking(w.ranks - 1) + w.combine(w.ranks, n);
  c.link = n;
  c.port = (w.ranks - 1) * n;
  c.host = static_cast<double>(w.local) * (w.ranks - w.local) * n;
  c.read = w.ranks * n;
  c.peers = w.ranks - 1;
  c.posts = 2 * c.peers;
  return c;
}

// Thakur et al., 4.5 "Rabenseifner": 2 log2(p) A + 2(p-1)/p n b + (p-1)/p 2n g, and the guests'.
Course halving_doubling_course(const Wires& w, double n) {
  const Folding folding(w.ranks);
  Course c;
  double part = n;
  for (int k = 0; k < folding.rounds; ++k) {
    part /= 2;
    c.path += 2 * w.across(1 << k, 1, part, w.local) + w.combine(2, part);
    c.port += 2 * part;
    c.read += 2 * part;
    c.posts += 4;
    if (w.crosses(1 << k)) c.host += 2 * w.local * part;
  }
  c.path += guests_path(w, folding, 2, n);
  c.peers = folding.rounds;
  if (folding.guests > 0) {
    c.port += n;
    c.read += 2 * n;
    c.posts += 2;
    c.peers += 1;
  }
  c.link = n;
  return c;
}

namespace {

/// What combining costs on the way up both trees: three slices of half a block at each height.
double combine_in_trees(const Wires& w, double n) {
  return w.rounds() * w.combine(3, n / 2);
}

}  // namespace

// Sanders et al.: up and down, 2 log2(p) (A + n b) + log2(p) 3n/2 g for one instance, and 2n b for
// each that follows.
Course tree_all_reduce_course(const Wires& w, double n) {
  Course c;
  c.path = 2 * along_two_trees(w, n) + combine_in_trees(w, n);
  c.link = tree_link(w, n);
  c.port = c.host = 2 * n;
  c.read = 1.5 * n;
  c.posts = 12;
  c.peers = std::min(w.ranks - 1, 4);
  return c;
}

namespace {

/// What the part of one rank costs it: all of them put it there, or it is loaded where they have
/// it. Then `passes` times its bytes in mapped memory, for each of the ranks on the host.
void reduce_a_part(const Wires& w, double part, double passes, Course& c) {
  c.path += w.all_others(part, w.local) + w.combine(w.ranks, part);
  const double here = w.local - 1;
  if (w.mapped) {
    c.mapped = passes * here * part;
    c.path += w.touch(c.mapped);
  }
  c.port = (w.mapped ? w.ranks - w.local : w.ranks - 1) * part;
  c.link = part;
  c.host = static_cast<double>(w.local) * (w.ranks - w.local) * part;
  c.read = w.ranks * part;
  c.peers = w.ranks - 1;
  c.posts = 4 * c.peers;
}

}  // namespace

// Two all-pairs exchanges of n/p: 2 A + 2(p-1)/p n b + n g, after Thakur et al.'s pairwise
// exchange. Mapped: two signals, and all inputs are loaded and all outputs stored once.
Course direct_all_reduce_course(const Wires& w, double n) {
  const double chunk = n / w.ranks;
  Course c;
  reduce_a_part(w, chunk, 2, c);
  c.path += w.all_others(chunk, w.local);
  c.link *= 2;
  c.port *= 2;
  c.host *= 2;
  return c;
}

// Thakur et al., 4.3 "ring" (pairwise): (p-1) (A + n b + 2n g), for p blocks.
Course ring_reduce_scatter_course(const Wires& w, double n) {
  const double turns = w.ranks - 1;
  Course c;
  c.path = turns * (w.neighbour(n) + w.combine(2, n));
  c.link = c.port = c.host = turns * n;
  c.read = 2 * turns * n;
  c.posts = 2 * turns;
  c.peers = std::min(w.ranks - 1, 2);
  return c;
}

// One all-pairs exchange of blocks, and signals that they have been read.
Course direct_reduce_scatter_course(const Wires& w, double n) {
  Course c;
  reduce_a_part(w, n, 1, c);
  c.path += w.signal(w.ranks - 1);
  return c;
}

// Thakur et al., 4.4: log2(p) (A + n b) to the root. Each rank adds up once, when all its children
// have come: a rank of height j combines j + 1 slices.
Course binomial_reduce_course(const Wires& w, double n) {
  Course c;
  for (int height = 1; height <= w.depth(); ++height) {
    c.path += w.across(1 << (height - 1), 1, n, 1) + w.combine(height + 1, n);
  }
  c.link = n;
  c.port = c.host = w.rounds() * n;
  c.read = (w.rounds() + 1) * n;
  c.posts = 2 * w.rounds();
  c.peers = w.rounds();
  // Ranks follow each other level by level: the root's own work, and the credit for its children.
  c.period = 2 * w.signal() + w.combine(c.peers + 1, n) + std::max(w.near(1, n), w.neighbour(n));
  return c;
}

// Sanders et al., up only; then the signal that lets the children go on.
Course tree_reduce_course(const Wires& w, double n) {
  Course c;
  c.path = along_two_trees(w, n) + combine_in_trees(w, n) + w.signal();
  c.link = tree_link(w, n);
  c.port = c.host = n;
  c.read = 1.5 * n;
  c.posts = 8;
  c.peers = std::min(w.ranks - 1, 4);
  return c;
}

// An all-pairs exchange of n/p, then everybody's part to the root. Mapped: signals, n loaded by all
// together and stored at the root.
Course direct_reduce_course(const Wires& w, double n) {
  const double chunk = n / w.ranks;
  Course c;
  reduce_a_part(w, chunk, 1, c);
  c.path += w.all_others(chunk, 1) + (w.mapped ? w.touch(chunk) : 0);
  if (w.mapped) c.mapped += chunk;
  c.link *= 2;
  c.port *= 2;
  c.host *= 2;
  return c;
}

}  // namespace paceline::collectives
