#include "transport_shm/peer_regions.h"

#include <algorithm>

#include "paceline/error.h"

namespace paceline::transport::shm {

namespace {

/// Up to here a region's pages are mapped at once: scratch, whose first lap would otherwise cost a
/// fault for each page. A caller's long memory may never be used by this peer.
constexpr std::uint64_t kPopulatedBytes = 4 * 1024 * 1024;

}  // namespace

void PeerRegions::add(const Frame& frame, int fd) {
  if (frame.id <= highest_) {
    throw Error(ErrorCode::transport_failed,
                "the peer announced memory under a number that it had used before");
  }
  const Populate populate = frame.length <= kPopulatedBytes ? Populate::yes : Populate::no;
  regions_.push_back({frame.id, frame.address, map_file(fd, frame.length, populate)});
  highest_ = frame.id;
}

void PeerRegions::remove(std::uint64_t id) {
  highest_ = std::max(highest_, id);
  const auto found = std::ranges::lower_bound(regions_, id, {}, &Region::id);
  if (found == regions_.end() || found->id != id) return;
  found->mapping.sever();
  severed_.push_back(std::move(found->mapping));
  regions_.erase(found);
  if (severed_.size() > kKeptAddresses) severed_.pop_front();
}

void PeerRegions::clear() noexcept {
  regions_.clear();
  severed_.clear();
}

const PeerRegions::Region* PeerRegions::find(std::uint64_t id) {
  if (last_found_ < regions_.size() && regions_[last_found_].id == id) {
    return &regions_[last_found_];
  }
  const auto found = std::ranges::lower_bound(regions_, id, {}, &Region::id);
  if (found == regions_.end() || found->id != id) return nullptr;
  last_found_ = static_cast<std::size_t>(found - regions_.begin());
  return &*found;
}

}  // namespace paceline::transport::shm
