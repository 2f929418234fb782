// What goes out and what has come in: messages and puts.
#include <algorithm>
#include <cstring>

#include "transport_verbs/endpoint.h"

namespace paceline::transport::verbs {

// --- messages ------------------------------------------------------------------------------------

bool VerbsEndpoint::send(ConstBytes header, ConstBytes payload) {
  check_usable();
  const std::size_t length = header.size() + payload.size();
  if (length == 0 || length > kMaxMessage) {
    throw Error(ErrorCode::invalid_argument,
                "a message of " + std::to_string(length) + " bytes; 1 to " +
                    std::to_string(kMaxMessage) + " are allowed",
                {.peer = peer_});
  }
  if (!may_notify() || messages_sent_ - messages_freed_ >= slots_) return false;
  // Our copy is free again when the peer's slot is: that was popped after our write was done.
  const std::uint64_t slot = messages_sent_ % slots_;
  std::byte* copy = outbox_ + slot * kSlotStride;
  if (!header.empty()) std::memcpy(copy, header.data(), header.size());
  if (!payload.empty()) std::memcpy(copy + header.size(), payload.data(), payload.size());
  Posting posting;
  posting.write({reinterpret_cast<std::uint64_t>(copy), static_cast<std::uint32_t>(length),
                 own_region_->lkey},
                far_.mailbox_address + slot * kSlotStride, far_.mailbox_key,
                length <= shape_.inline_bytes);
  notifier_->tell(posting, {Immediate::Kind::message, static_cast<std::uint16_t>(slot),
                            static_cast<std::uint16_t>(length)});
  ++messages_sent_;
  ++notified_;
  post(posting, false);
  return true;
}

ConstBytes VerbsEndpoint::front() {
  if (messages_received_ != messages_popped_ && !closed_ && !broken_) {
    const std::uint64_t slot = messages_popped_ % slots_;
    return {inbox_ + slot * kSlotStride, lengths_[slot]};
  }
  check_usable();
  return {};
}

void VerbsEndpoint::pop() {
  if (messages_received_ == messages_popped_) return;
  ++messages_popped_;
  receives_.freed_slot();
  send_credits();
}

// --- puts ----------------------------------------------------------------------------------------

bool VerbsEndpoint::signal(Lane lane) {
  check_usable();
  check_lane(lane);
  if (current_ || !may_notify()) return false;
  ++notified_;
  notify({Immediate::Kind::put, 0, static_cast<std::uint16_t>(lane)});
  return true;
}

bool VerbsEndpoint::put(Lane lane, ConstBytes source, const Registration* registration,
                        RemoteAddress target) {
  if (source.empty()) return signal(lane);
  check_usable();
  check_lane(lane);
  if ((target.key & VerbsRegistration::kMark) == 0 ||
      target.address + source.size() < target.address) {
    throw Error(ErrorCode::transport_failed,
                "a put of " + std::to_string(source.size()) + " bytes to rank " +
                    std::to_string(peer_) + " names memory that is not registered there",
                {.peer = peer_});
  }
  if (current_ || !may_notify()) return false;
  Put put;
  put.lane = lane;
  put.left = source.size();
  put.target = target.address;
  put.remote_key = static_cast<std::uint32_t>(target.key);
  put.source = source.data();
  current_ = put;
  if (!lend_source(source, registration)) {
    current_.reset();
    return false;
  }
  ++notified_;
  continue_put();
  return true;
}

/// Makes the source of the current put readable by the device: inside the request, in the caller's
/// registration, as a copy, or registered for this put. False if it must wait.
bool VerbsEndpoint::lend_source(ConstBytes source, const Registration* registration) {
  Put& put = *current_;
  const ibv_mr* region = registration == nullptr
                             ? nullptr
                             : static_cast<const VerbsRegistration*>(registration)->region();
  if (source.size() <= std::min(shape_.inline_bytes, max_piece_)) {
    put.is_inline = true;
  } else if (region != nullptr) {
    put.local_key = region->lkey;
  } else if (source.size() <= kMostBounced) {
    const std::uint32_t at = bounce_ring_.take(static_cast<std::uint32_t>(source.size()));
    if (at == BounceRing::kNone) return false;
    std::memcpy(bounce_ + at, source.data(), source.size());
    put.source = bounce_ + at;
    put.is_copied = true;
    put.local_key = own_region_->lkey;
    loans_.push_back({.bounce_mark = bounce_ring_.end()});
  } else {
    // Read by the device only, so memory that is mapped read-only will do.
    RegionHandle own = device_->register_region(source.data(), source.size(), 0);
    put.local_key = own->lkey;
    loans_.push_back({.region = std::move(own)});
  }
  return true;
}

/// Posts as much of the current put as there is room for. A put longer than what the device takes
/// in one request is several; the rest follows as earlier ones complete.
void VerbsEndpoint::continue_put() {
  while (current_) {
    Put& put = *current_;
    const auto size = static_cast<std::uint32_t>(std::min<std::uint64_t>(put.left, max_piece_));
    const bool last = size == put.left;
    if (!sends_.has_room(last ? notifier_->requests() : 1)) return;
    Posting posting;
    posting.write({reinterpret_cast<std::uint64_t>(put.source), size, put.local_key}, put.target,
                  put.remote_key, put.is_inline);
    if (last) {
      notifier_->tell(posting, {Immediate::Kind::put, 0, static_cast<std::uint16_t>(put.lane)});
    }
    // Whoever lent the source wants it back, so the last one says when it is done.
    const std::uint64_t number = post(posting, last && !put.is_inline);
    put.source += size;
    put.target += size;
    put.left -= size;
    if (!last) continue;
    if (!loans_.empty() && loans_.back().number == 0) loans_.back().number = number;
    if (!put.is_inline && !put.is_copied) source_needed_until_ = number;
    current_.reset();
  }
}

void VerbsEndpoint::return_loans() {
  while (!loans_.empty() && loans_.front().number != 0 && loans_.front().number <= sends_.done()) {
    if (loans_.front().bounce_mark != 0) bounce_ring_.release(loans_.front().bounce_mark);
    loans_.pop_front();
  }
}

std::uint64_t VerbsEndpoint::arrived(Lane lane) {
  check_lane(lane);
  // That the peer has left takes nothing back of what it put before.
  if (closed_ || broken_) check_usable();
  return arrived_[lane];
}

bool VerbsEndpoint::flushed() {
  if (!current_ && !closed_ && !broken_ && sends_.done() >= source_needed_until_) return true;
  check_usable();
  return false;
}

}  // namespace paceline::transport::verbs
