#include "communicator/fusion.h"

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

namespace paceline {

namespace {

using engine::Call;
using engine::Piece;
using engine::Pieces;

bool can_be_fused(const Call& call, const FusionLimits& limits) {
  // A factor or a function belongs to one call.
  return call.collective != Collective::barrier && !call.per_rank() &&
         call.op != ReduceOp::premul_sum && call.op != ReduceOp::custom &&
         call.count * size_of(call.type) <= limits.largest_block;
}

// The blocks of one call among those of the fused one, which are `fused` elements long: its own
// begin `first` elements into each.
void add_pieces(std::vector<Piece>& pieces, const std::byte* buffer, int blocks, const Call& call,
                std::uint64_t first, std::uint64_t fused) {
  const std::size_t element = size_of(call.type);
  const std::size_t bytes = call.count * element;
  if (bytes == 0) return;
  for (std::uint64_t b = 0; b < static_cast<std::uint64_t>(blocks); ++b) {
    pieces.push_back(
        {const_cast<std::byte*>(buffer) + b * bytes, (b * fused + first) * element, bytes});
  }
}

ReadyCall fused(const std::vector<ReadyCall>& alike, int rank, int size) {
  ReadyCall one{alike.front().call, {}};
  one.call.count = 0;
  for (const ReadyCall& ready : alike) one.call.count += ready.call.count;
  const Blocks blocks = blocks_of(one.call.collective, rank, size, one.call.root);
  auto pieces = std::make_shared<Pieces>();
  std::uint64_t first = 0;
  for (const ReadyCall& ready : alike) {
    add_pieces(pieces->input, ready.buffers.input, blocks.input, ready.call, first, one.call.count);
    add_pieces(pieces->output, ready.buffers.output, blocks.output, ready.call, first,
               one.call.count);
    first += ready.call.count;
  }
  one.buffers.pieces = std::move(pieces);
  return one;
}

}  // namespace

std::vector<ReadyCall> fuse(std::vector<ReadyCall> calls, int rank, int size,
                            const FusionLimits& limits) {
  using Kind = std::tuple<Collective, DataType, ReduceOp, Algorithm, std::int32_t>;
  struct Bucket {
    std::size_t place;  ///< in the result
    std::size_t bytes = 0;
    std::vector<ReadyCall> alike;
  };
  std::vector<ReadyCall> result;
  std::vector<Bucket> buckets;
  std::map<Kind, std::size_t> open;  // number of the bucket that still has room
  for (ReadyCall& ready : calls) {
    const Call& call = ready.call;
    if (!can_be_fused(call, limits)) {
      result.push_back(std::move(ready));
      continue;
    }
    const Kind kind{call.collective, call.type, call.op, call.algorithm, call.root};
    // Of the root, where only that one has a block for each rank: all ranks decide alike.
    const Blocks blocks = blocks_of(call.collective, call.root, size, call.root);
    const std::size_t bytes = call.count * size_of(call.type) *
                              static_cast<std::size_t>(std::max(blocks.input, blocks.output));
    const auto it = open.find(kind);
    if (it == open.end() || buckets[it->second].bytes + bytes > limits.largest_call) {
      open[kind] = buckets.size();
      buckets.push_back({result.size(), 0, {}});
      result.push_back({});
    }
    Bucket& bucket = buckets[open[kind]];
    bucket.bytes += bytes;
    bucket.alike.push_back(std::move(ready));
  }
  for (Bucket& bucket : buckets) {
    result[bucket.place] =
        bucket.alike.size() == 1 ? std::move(bucket.alike[0]) : fused(bucket.alike, rank, size);
  }
  return result;
}

}  // namespace paceline
