// Runs a small operation: one message per put, compared before it is used.
#pragma once

#include "engine/engine.h"

namespace paceline::engine {

class EagerRun {
 public:
  EagerRun(Engine& engine, Operation& operation) : engine_(engine), operation_(operation) {}
  /// Takes steps until one cannot be taken yet; true if at least one was. Sets the phase to
  /// flushing when all are done.
  bool advance();

 private:
  bool send(const EagerStep& step, const std::byte* payload);
  bool receive(const EagerStep& step, std::byte* target);
  void reduce(const EagerStep& step);
  std::byte* base(collectives::Buffer buffer) const;

  Engine& engine_;
  Operation& operation_;
};

}  // namespace paceline::engine
