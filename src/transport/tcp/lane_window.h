// Puts of one lane that have arrived, and how far they have arrived without a gap.
//
// Pieces of puts come through several links in any order; the counter of the lane says n only
// once the first n puts are here completely. The window remembers what came early.
#pragma once

#include <array>
#include <cstdint>

#include "transport_tcp/frame.h"

namespace paceline::transport::tcp {

class LaneWindow {
 public:
  /// How far a link may run ahead of the slowest one. What comes later is left in the kernel, so
  /// memory stays bounded; that cannot deadlock, because each link carries its frames in the order
  /// they were posted: of all frames at the head of a link the one posted first is never ahead.
  static constexpr std::uint64_t kAhead = 1024;
  /// No sender gets this far ahead in the life of a link: such a number is garbage.
  static constexpr std::uint64_t kAbsurd = std::uint64_t{1} << 32;

  enum class Verdict : std::uint8_t { fits, early, wrong };
  /// What to do with a piece that has begun to come in.
  [[nodiscard]] Verdict judge(const Frame& piece) const {
    if (piece.sequence < arrived_ || piece.sequence - arrived_ >= kAbsurd) return Verdict::wrong;
    if (piece.sequence - arrived_ >= kAhead) return Verdict::early;
    const Put& put = puts_[piece.sequence % kAhead];
    const bool known = put.pieces != 0;
    return known && (put.pieces != piece.pieces || put.here >= put.pieces) ? Verdict::wrong
                                                                           : Verdict::fits;
  }

  /// A piece is in place. It fitted; false if it is one too many.
  [[nodiscard]] bool complete(const Frame& piece) {
    if (judge(piece) != Verdict::fits) return false;
    Put& done = puts_[piece.sequence % kAhead];
    done.pieces = piece.pieces;
    ++done.here;
    for (;;) {
      Put& next = puts_[arrived_ % kAhead];
      if (next.pieces == 0 || next.here < next.pieces) return true;
      next = {};
      ++arrived_;
    }
  }

  [[nodiscard]] std::uint64_t arrived() const { return arrived_; }

 private:
  struct Put {
    std::uint8_t pieces = 0;  ///< 0: none of it has come
    std::uint8_t here = 0;
  };
  std::uint64_t arrived_ = 0;
  std::array<Put, kAhead> puts_{};
};

}  // namespace paceline::transport::tcp
