// Runs a small operation: one message per put, compared before it is used.
#pragma once

#include "engine/engine.h"

namespace paceline::engine {

class EagerRun {
 public:
  // Steps never write to the input; the cast only lets one table serve sources and targets.
  EagerRun(Engine& engine, Operation& operation)
      : engine_(engine),
        operation_(operation),
        bases_{const_cast<std::byte*>(operation.input_), operation.output_, operation.scratch_} {}
  /// Takes steps until one cannot be taken yet; true if at least one was. Sets the phase to
  /// flushing when all are done.
  bool advance();

 private:
  bool send(const EagerStep& step, const std::byte* payload);
  bool receive(const EagerStep& step, std::byte* target);
  bool combine_straight(const EagerStep& wait, const EagerStep& reduce);
  /// The payload of the message that `step` waits for; null if it has not come. Stays in front.
  const std::byte* arrived(const EagerStep& step, Edge& edge);
  void reduce(const EagerStep& step, const EagerStep* straight = nullptr,
              const std::byte* payload = nullptr);
  [[nodiscard]] std::byte* at(const Place& place) const {
    return bases_[static_cast<std::size_t>(place.buffer)] + place.offset;
  }

  Engine& engine_;
  Operation& operation_;
  std::byte* const bases_[3];  ///< by Buffer
};

}  // namespace paceline::engine
