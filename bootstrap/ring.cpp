#include "bootstrap/ring.h"

#include <utility>

#include "bootstrap/graph.h"

namespace paceline::bootstrap {

Ring::Ring(int rank, int size, Events events)
    : rank_(rank), size_(size), events_(std::move(events)), next_(rank_after(rank, 1, size)) {}

void Ring::begin() {
  begun_ = true;
  settle();
}

void Ring::left(int peer, int next) {
  if (peer != next_ || next < 0 || next >= size_) return;
  // Its next one lies between it and ourselves, or is ourselves or it: then all others have left.
  next_ = next == peer ? rank_ : next;
  settle();
}

void Ring::linked(int peer) {
  if (peer != next_) return;
  dialing_ = false;
  settle();
}

void Ring::settle() {
  while (next_ != rank_ && events_.has_left(next_)) next_ = rank_after(next_, 1, size_);
  if (!begun_ || dialing_ || next_ == rank_ || events_.linked(next_)) return;
  dialing_ = true;
  events_.dial(next_, [this, dialed = next_] {
    dialing_ = false;
    if (next_ == dialed && !events_.linked(next_)) next_ = rank_after(next_, 1, size_);
    settle();
  });
}

}  // namespace paceline::bootstrap
