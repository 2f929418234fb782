// Keeps the control graph in one piece while ranks leave.
//
// The rule: every rank holds a link with the next rank after it that has not left. That is a ring
// of all that remain, so news reaches everybody. When that next rank says goodbye (and names its
// own next one), we link with the first after it that still answers. Nobody else needs to know.
//
// A rank that does not answer has left as well, or has died. Either is for its own neighbours to
// say; here the next one is tried, all the way round to ourselves.
#pragma once

#include <functional>
#include <memory>

namespace paceline::bootstrap {

class Ring {
 public:
  struct Events {
    std::function<bool(int peer)> linked = {};
    std::function<bool(int peer)> has_left = {};
    /// Dials a control link; later either linked() or `gone` is called.
    std::function<void(int peer, std::function<void()> gone)> dial = {};
  };

  Ring(int rank, int size, Events events);

  /// From now on `dial` can reach anybody.
  void begin();
  void left(int peer, int next);
  void linked(int peer);
  /// The next one after us, as far as known; ourselves if all have left.
  [[nodiscard]] int next() const { return next_; }

 private:
  void settle();

  const int rank_;
  const int size_;
  Events events_;
  int next_;
  bool begun_ = false;
  bool dialing_ = false;
};

}  // namespace paceline::bootstrap
