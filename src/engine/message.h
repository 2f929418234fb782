// A send or a recv under way on one rank.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "engine/completion.h"
#include "engine/message_call.h"
#include "memory/region.h"
#include "transport/transport.h"

namespace paceline::engine {

/// Written by the owner of progress only; others may read what a Completion offers.
struct Message final : Completion {
  MessageCall call = {};
  std::uint64_t sequence = 0;  ///< the how-manieth send or recv of this rank
  /// The caller's; one of them is null.
  const std::byte* source = nullptr;
  std::byte* target = nullptr;

  // Of what is too long to travel with its record: see message_pair.h.
  std::uint64_t number = 0;  ///< among all that its sender sends to the peer
  std::shared_ptr<memory::Region> region = nullptr;  ///< which covers the caller's memory
  transport::RemoteAddress remote = {};              ///< where the receiver wants it
  bool staged = false;                               ///< in segments, through the receiver's bounce
  std::size_t offset = 0;                            ///< bytes of it that are through
  std::uint64_t last_put = 0;  ///< send: the how-manieth put has its last byte

  /// Since when it has not moved, being the first that could; 0: nobody has looked yet.
  Nanoseconds since = 0;

  void finish(std::optional<Error> error) {
    region = nullptr;
    error_ = std::move(error);
    finished_.store(true, std::memory_order_release);
  }
};

using MessagePtr = std::shared_ptr<Message>;

}  // namespace paceline::engine
