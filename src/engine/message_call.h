// What a rank sends or receives: the signature that both ends must agree on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "paceline/history.h"
#include "paceline/types.h"

namespace paceline::engine {

struct MessageCall {
  CallKind kind = CallKind::send;  ///< send or recv
  DataType type = DataType::float32;
  std::int32_t peer = 0;
  std::int32_t tag = 0;
  std::uint64_t count = 0;

  bool operator==(const MessageCall&) const = default;
  [[nodiscard]] std::size_t bytes() const { return count * size_of(type); }
  /// "send(1024 x float32, to 3, tag 0)", "recv(3 x int64, from 0, tag 7)".
  [[nodiscard]] std::string text() const;
};

}  // namespace paceline::engine
