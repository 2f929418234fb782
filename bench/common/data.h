// What one rank puts into a collective, and what has to come out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/pattern.h"
#include "paceline/types.h"

namespace paceline::bench {

/// Where blocks differ, each is a pattern of a number of its own: what rank r has for rank j is
/// pattern r * size + j.
template <class T>
class Data {
 public:
  Data(Collective collective, ReduceOp op, int root, int rank, int size)
      : collective_(collective), op_(op), root_(root), rank_(rank), size_(size) {
    const Blocks mine = blocks_of(collective, rank, size, root);
    const bool fills = collective != Collective::broadcast || rank == root;
    for (int block = 0; fills && block < mine.input; ++block) {
      input_.push_back(Pattern<T>::input(pattern_op(), pattern_in(block), patterns()));
    }
    for (int block = 0; block < mine.output; ++block) {
      output_.push_back(reduces(collective)
                            ? Pattern<T>::result(op, size)
                            : Pattern<T>::input(pattern_op(), pattern_out(block), patterns()));
    }
  }

  /// Blocks of the output.
  [[nodiscard]] std::size_t outputs() const { return output_.size(); }
  /// The input of a call with blocks of `count` elements.
  void fill(T* in, std::size_t count) const {
    for (std::size_t b = 0; b < input_.size(); ++b) input_[b].write(in + b * count, count);
  }
  /// How many elements of its output are not what they should be.
  [[nodiscard]] std::uint64_t wrong(const T* out, std::size_t count) const {
    std::uint64_t wrong = 0;
    for (std::size_t b = 0; b < output_.size(); ++b) {
      wrong += output_[b].wrong(out + b * count, count);
    }
    return wrong;
  }

 private:
  /// What is not reduced only has to differ from block to block.
  [[nodiscard]] ReduceOp pattern_op() const { return reduces(collective_) ? op_ : ReduceOp::max; }
  [[nodiscard]] int patterns() const { return reduces(collective_) ? size_ : size_ * size_; }
  [[nodiscard]] int pattern_in(int block) const {
    return reduces(collective_) ? rank_ : rank_ * size_ + block;
  }
  /// Block `block` of the output comes from that rank, or from the root, and there it is the one
  /// block, or the one for this rank.
  [[nodiscard]] int pattern_out(int block) const {
    const bool from_root =
        collective_ == Collective::broadcast || collective_ == Collective::scatter;
    const bool for_me = collective_ == Collective::all_to_all || collective_ == Collective::scatter;
    return (from_root ? root_ : block) * size_ + (for_me ? rank_ : 0);
  }

  const Collective collective_;
  const ReduceOp op_;
  const int root_;
  const int rank_;
  const int size_;
  std::vector<Pattern<T>> input_;
  std::vector<Pattern<T>> output_;
};

}  // namespace paceline::bench
