// Where the slices of a step lie: in my buffers, and in those of a peer.
#include <algorithm>

#include "engine/put_run.h"

namespace paceline::engine {

using collectives::Buffer;
using collectives::Slice;
using transport::RemoteAddress;

PutRun::Bases PutRun::mine(std::uint64_t instance) const {
  const Plan& plan = *operation_.plan_;
  std::byte* scratch =
      operation_.scratch_ + plan.scratch_at(instance, operation_.turns_, plan.turn_stride());
  // Steps never write to the input; the cast only lets one table serve sources and targets.
  return {const_cast<std::byte*>(operation_.input_), operation_.output_, scratch,
          scratch + plan.shadow_offset(), true};
}

PutRun::Bases PutRun::theirs(const Edge& edge, std::uint64_t instance) const {
  const auto shifted = [](std::byte* base, std::size_t by) {
    return base == nullptr ? nullptr : base + by;
  };
  const std::size_t start =
      operation_.plan_->scratch_at(instance, edge.theirs.turns, edge.theirs.turn_stride);
  return {edge.input, edge.output, shifted(edge.scratch, start),
          shifted(edge.scratch, start + edge.theirs.shadow_offset), false};
}

// Where a slice of an input or output begins, counted from where the owner's buffer does: if blocks
// have a length per rank, a peer's is the block that it has announced to me.
std::uint64_t PutRun::element(const Slice& slice, std::uint64_t instance, bool is_mine) const {
  const Plan& plan = *operation_.plan_;
  if (extents_ == nullptr) return plan.element(instance, slice.offset);
  const std::uint64_t segment = plan.instance_count();
  const std::uint64_t within = instance * segment + slice.offset % segment;
  if (!is_mine) return within;
  return extents_->block(slice.buffer, slice.offset / segment).offset + within;
}

// How many elements of a slice there are in an instance.
std::uint64_t PutRun::clipped(const Slice& slice, std::uint64_t instance, int owner) const {
  const Plan& plan = *operation_.plan_;
  if (extents_ == nullptr) return plan.clipped(instance, slice);
  if (slice.buffer == Buffer::scratch) return slice.length;
  const std::uint64_t segment = plan.instance_count();
  std::uint64_t length = extents_->block(slice.buffer, slice.offset / segment).length;
  if (owner != engine_.options_.rank) {
    length = slice.buffer == Buffer::input ? extents_->got_from(owner) : extents_->given_to(owner);
  }
  const std::uint64_t begin = instance * segment + slice.offset % segment;
  return begin >= length ? 0 : std::min(slice.length, length - begin);
}

// Whether an instance moves anything to or from a peer. Both ends answer alike.
bool PutRun::concerns(int peer, std::uint64_t instance) const {
  return extents_ == nullptr || peer < 0 ||
         instance * operation_.plan_->instance_count() <
             std::max(extents_->given_to(peer), extents_->got_from(peer));
}

std::byte* PutRun::at(const Bases& bases, const Slice& slice, std::uint64_t instance) const {
  switch (slice.buffer) {
    case Buffer::input:
      return bases.input + bytes(element(slice, instance, bases.are_mine));
    case Buffer::output:
      return bases.output + bytes(element(slice, instance, bases.are_mine));
    case Buffer::scratch:
      break;
  }
  return bases.scratch + bytes(slice.offset);
}

RemoteAddress PutRun::remote(const Edge& edge, const Slice& slice, bool shadow,
                             std::uint64_t instance) const {
  RemoteAddress a;
  if (slice.buffer == Buffer::scratch || shadow) {
    a = edge.theirs.scratch;
    a.address +=
        operation_.plan_->scratch_at(instance, edge.theirs.turns, edge.theirs.turn_stride) +
        (shadow ? edge.theirs.shadow_offset : 0) + bytes(slice.offset);
    return a;
  }
  a = slice.buffer == Buffer::input ? edge.theirs.input : edge.theirs.output;
  a.address += bytes(element(slice, instance, false));
  return a;
}

const transport::Registration* PutRun::registration_of(const Edge& edge, Buffer buffer) const {
  const memory::Region* region = engine_.scratch_.region().get();
  if (buffer == Buffer::input) region = operation_.input_region_.get();
  if (buffer == Buffer::output) region = operation_.output_region_.get();
  return region == nullptr ? nullptr : region->registration(edge.transport);
}

}  // namespace paceline::engine
