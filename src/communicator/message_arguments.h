// What a caller gives to a send or recv: checked before anything is sent, so that a mistake leaves
// the communicator usable.
#pragma once

#include <cstddef>

#include "engine/message_call.h"
#include "paceline/types.h"

namespace paceline {

struct MessageArguments {
  CallKind kind = CallKind::send;
  const void* source = nullptr;  ///< send
  void* target = nullptr;        ///< recv
  std::size_t count = 0;
  DataType type = DataType::float32;
  int peer = 0;
  int tag = 0;

  /// Throws Error (invalid_argument): what was given, what is allowed, what to do.
  void check(int size) const;
  [[nodiscard]] engine::MessageCall call() const { return {kind, type, peer, tag, count}; }
};

}  // namespace paceline
