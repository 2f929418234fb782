// The last call whose signature was found right. A training step repeats its calls, so what follows
// from the signature alone (that it is right, the algorithm, this rank's blocks) is worked out
// once.
//
// Threads: the owner of progress only.
#pragma once

#include "communicator/arguments.h"

namespace paceline {

class KnownCall {
 public:
  /// Whether `arguments` have that signature.
  [[nodiscard]] bool is(const Arguments& arguments) const {
    return known_ && wish_ == arguments.call();
  }
  /// `call`: what `arguments` come to, with the algorithm that they take. What a rank brings along
  /// besides buffers is not part of a signature: a factor, a function.
  void learn(const Arguments& arguments, const Blocks& blocks, const engine::Call& call) {
    known_ = arguments.op.op() != ReduceOp::premul_sum && arguments.op.op() != ReduceOp::custom;
    wish_ = arguments.call();
    blocks_ = blocks;
    call_ = call;
  }

  [[nodiscard]] const Blocks& blocks() const { return blocks_; }
  [[nodiscard]] const engine::Call& call() const { return call_; }

 private:
  bool known_ = false;
  engine::Call wish_ = {};
  engine::Call call_ = {};
  Blocks blocks_ = {};
};

}  // namespace paceline
