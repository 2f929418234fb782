#include "collectives/schedule.h"

#include "collectives/chunks.h"

namespace paceline::collectives {

ChunkBounds chunk_bounds(const Shape& shape, int chunk) {
  return Chunks(shape).at(chunk);
}

namespace {

std::unique_ptr<Schedule> make_all_reduce(Algorithm algorithm, const Shape& shape, int rank) {
  switch (algorithm) {
    case Algorithm::ring:
      return ring_all_reduce(shape, rank);
    case Algorithm::recursive_doubling:
      return recursive_doubling_all_reduce(shape, rank);
    case Algorithm::direct:
      return direct_all_reduce(shape, rank);
    case Algorithm::automatic:
    case Algorithm::binomial:
    case Algorithm::halving_doubling:
    case Algorithm::tree:
    case Algorithm::bruck:
    case Algorithm::scatter_all_gather:
      return nullptr;
  }
  return nullptr;
}

}  // namespace

Blocks blocks_of(Collective collective, const Shape& shape, int rank) {
  const int at_root = rank == shape.root ? 1 : 0;
  switch (collective) {
    case Collective::all_reduce:
    case Collective::broadcast:
    case Collective::barrier:
      return {1, 1};
    case Collective::reduce:
      return {1, at_root};
    case Collective::reduce_scatter:
      return {shape.size, 1};
    case Collective::all_gather:
      return {1, shape.size};
    case Collective::all_to_all:
      return {shape.size, shape.size};
    case Collective::gather:
      return {1, at_root * shape.size};
    case Collective::scatter:
      return {at_root * shape.size, 1};
  }
  return {};
}

std::optional<int> shared_block(Collective collective, const Shape& shape, int rank) {
  const Blocks blocks = blocks_of(collective, shape, rank);
  if (blocks.input == 0 || blocks.output == 0) return std::nullopt;
  if (collective == Collective::all_to_all) return std::nullopt;
  return blocks.input == blocks.output ? 0 : rank;
}

bool offers(Collective collective, Algorithm algorithm) {
  return make_schedule(collective, algorithm, Shape{}, 0) != nullptr;
}

Grain grain_of(Collective collective, Algorithm algorithm, const Shape& shape) {
  if (collective == Collective::all_reduce &&
      (algorithm == Algorithm::ring || algorithm == Algorithm::direct)) {
    return {.pieces = shape.size};
  }
  return {};
}

std::unique_ptr<Schedule> make_schedule(Collective collective, Algorithm algorithm,
                                        const Shape& shape, int rank) {
  switch (collective) {
    case Collective::all_reduce:
      return make_all_reduce(algorithm, shape, rank);
    case Collective::broadcast:
      if (algorithm != Algorithm::binomial) return nullptr;
      return binomial_broadcast(shape, rank);
    case Collective::barrier: {
      if (algorithm != Algorithm::recursive_doubling) return nullptr;
      Shape nothing = shape;
      nothing.count = 0;
      return recursive_doubling_all_reduce(nothing, rank);
    }
    case Collective::reduce_scatter:
    case Collective::all_gather:
    case Collective::all_to_all:
    case Collective::reduce:
    case Collective::gather:
    case Collective::scatter:
      return nullptr;
  }
  return nullptr;
}

}  // namespace paceline::collectives
