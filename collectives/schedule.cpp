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
      return nullptr;
  }
  return nullptr;
}

}  // namespace

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
  }
  return nullptr;
}

}  // namespace paceline::collectives
