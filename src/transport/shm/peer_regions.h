// The memory of one peer that this process has mapped.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "transport/transport.h"
#include "transport_shm/control_socket.h"
#include "transport_shm/mapping.h"

namespace paceline::transport::shm {

class PeerRegions {
 public:
  struct Region {
    std::uint64_t id = 0;
    std::uint64_t address = 0;  ///< as the peer calls it
    Mapping mapping = {};

    /// Null if the slice is not inside.
    [[nodiscard]] std::byte* at(std::uint64_t where, std::size_t length) const {
      const std::uint64_t offset = where - address;  // wraps far out of bounds if it is before
      const bool inside = offset <= mapping.length() && length <= mapping.length() - offset;
      return inside ? mapping.data() + offset : nullptr;
    }
  };

  /// A region frame and its file. Throws Error.
  void add(const Frame& frame, int fd);
  /// A gone frame. The pages are let go of; the addresses stay taken for a while, because a reader
  /// of map()'s pointer who is in the middle of something must get an error from the link and not
  /// die.
  void remove(std::uint64_t id);
  void clear() noexcept;

  /// Null if there is none of that id.
  [[nodiscard]] const Region* find(std::uint64_t id);
  /// The highest id that was named: a higher one may be on its way.
  [[nodiscard]] std::uint64_t highest() const { return highest_; }

 private:
  /// Addresses kept after their region has gone. Nobody is in the middle of an operation after so
  /// many more regions of the same peer have gone.
  static constexpr std::size_t kKeptAddresses = 64;

  std::vector<Region> regions_;  // by ascending id, as they are announced
  std::size_t last_found_ = 0;
  std::uint64_t highest_ = 0;
  std::deque<Mapping> severed_;
};

}  // namespace paceline::transport::shm
