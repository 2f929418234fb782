// What the hierarchical algorithms cost: stages inside hosts as of direct, stages across hosts of
// what a rank drives there.
//
// l ranks on each of h hosts, n bytes of a block. Across hosts all l ranks of a host are under way
// at the same time, so they share its card. h > 1: on one host, hierarchical is direct.
#include <bit>

#include "collectives/cost_course.h"

namespace paceline::collectives {

namespace {

/// Everybody on a host exchanges `bytes` with everybody else there: by puts, or by loads or stores
/// of `c.mapped`.
void exchange_inside(const Wires& w, double bytes, Course& c) {
  const double here = w.local - 1;
  if (here == 0) return;
  c.path += w.near(here, w.mapped ? 0 : bytes);
  c.posts += 2 * here;
  c.peers += here;
  if (!w.mapped) return;
  c.mapped += here * bytes;
  c.path += w.touch(here * bytes);
}

}  // namespace

// Inside, there and back, direct with a part of n/l: 2 A + n g. Across, of that part: by halving
// and doubling, 2 log2(h) A + 2(h-1)/h n/l b + (h-1)/h 2n/l g, or around a ring, 2(h-1) A and the
// same.
Course hierarchical_all_reduce_course(const Wires& w, double n) {
  const double share = n / w.local;
  const double others = w.hosts - 1;
  const double moved = share * others / w.hosts;
  const bool halves = std::has_single_bit(static_cast<unsigned>(w.hosts));
  const double rounds = halves ? std::bit_width(static_cast<unsigned>(w.hosts)) - 1 : others;
  Course c;
  c.peers = 0;
  exchange_inside(w, share, c);
  c.path += w.combine(w.local, share);
  c.path += 2 * ((rounds - 1) * w.far(1, 0, 1) + w.far(1, moved, w.local)) + w.combine(2, moved);
  exchange_inside(w, share, c);
  c.link = halves ? share : 2 * moved;
  c.port = 2 * moved;
  c.host = w.local * c.port;
  c.read = w.local * share + 2 * moved;
  c.posts += 4 * rounds;
  c.peers = w.local - 1 + (halves ? rounds : std::min(others, 2.0));
  return c;
}

// Inside, h parts of n each, one for each host; across, each to the rank that it is for, which sums
// those of all hosts: 2 A + (h-1) n b + (p + h) n g.
Course hierarchical_reduce_scatter_course(const Wires& w, double n) {
  const double others = w.hosts - 1;
  Course c;
  c.peers = others;
  exchange_inside(w, w.hosts * n, c);
  c.path += w.combine(w.ranks, n) + w.far(others, n, w.local) + w.combine(w.hosts, n) + w.signal();
  c.link = n;
  c.port = others * n;
  c.host = w.local * c.port;
  c.read = (w.ranks + w.hosts) * n;
  c.posts += 4 * others;
  return c;
}

// Across, my block to a rank of each other host; inside, the h blocks that I then have to
// everybody: 2 A + (h-1) n b, and inside p n b.
Course hierarchical_all_gather_course(const Wires& w, double n) {
  const double others = w.hosts - 1;
  Course c;
  c.peers = others;
  c.path = w.combine(1, n) + w.far(others, n, w.local);
  exchange_inside(w, w.hosts * n, c);
  c.link = n;
  c.port = others * n;
  c.host = w.local * c.port;
  c.read = w.hosts * n;
  c.posts += 2 * others;
  return c;
}

// Inside the root's host n/l to each rank, across hosts from one to the next along a binomial tree,
// inside each host from everybody to everybody: (2 + log2(h)) A + log2(h) n/l b.
Course hierarchical_broadcast_course(const Wires& w, double n) {
  const double share = n / w.local;
  const double rounds = std::bit_width(static_cast<unsigned>(w.hosts - 1));
  Course c;
  c.peers = rounds;
  exchange_inside(w, share, c);
  c.path += rounds * w.far(1, share, w.local);
  exchange_inside(w, share, c);
  c.link = share;
  c.port = rounds * share;
  c.host = w.local * c.port;
  c.read = share;
  c.posts += 2 * rounds;
  return c;
}

}  // namespace paceline::collectives
