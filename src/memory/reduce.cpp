// What every reduction has in common: the checks, the plain copy, and who does the rest.
#include "memory/reduce.h"

#include <string>

#include "base/copy.h"
#include "base/stream_bytes.h"
#include "memory/reduce_call.h"
#include "paceline/error.h"

namespace paceline::memory {

namespace {

void check(const ReduceCall& call) {
  if (offers(call.op, call.type) && !call.sources.empty() && !call.destinations.empty() &&
      call.divisor != 0 && (call.op != ReduceOp::custom || call.sources.size() == 1)) {
    return;
  }
  throw Error(ErrorCode::internal,
              "memory::reduce was given " + std::to_string(call.sources.size()) + " sources, " +
                  std::to_string(call.destinations.size()) + " destinations, type " +
                  std::string(to_string(call.type)) + ", operation " +
                  std::string(to_string(call.op)) + " and divisor " + std::to_string(call.divisor) +
                  "; it needs at least one of the first two, a divisor of at least 1, and a type "
                  "and operation that go together: " +
                  std::string(kOffered));
}

// Bit by bit, whatever the type: a NaN stays the one that it is.
void copy(const ReduceCall& call) {
  const std::size_t bytes = call.count * size_of(call.type);
  for (std::size_t j = 0; j < call.destinations.size(); ++j) {
    std::byte* const destination = call.destinations[j];
    if (call.sources[0] == destination) continue;
    if (j < call.streamed) {
      stream_bytes(destination, call.sources[0], bytes);
    } else {
      copy_bytes(destination, call.sources[0], bytes);
    }
  }
}

}  // namespace

void reduce(DataType type, ReduceOp op, Sources sources, Destinations destinations,
            std::size_t count, std::uint32_t divisor, std::size_t streamed) {
  const ReduceCall call{
      type, op, sources, destinations, count, op == ReduceOp::avg ? divisor : 1, streamed};
  check(call);
  if (count == 0) return;
  if (sources.size() == 1 && call.divisor == 1) return copy(call);
  switch (type) {
    case DataType::float32:
    case DataType::float64:
      return reduce_floats(call);
    case DataType::float16:
    case DataType::bfloat16:
    case DataType::float8_e4m3:
    case DataType::float8_e5m2:
      return reduce_narrow(call);
    case DataType::int8:
    case DataType::uint8:
    case DataType::int32:
    case DataType::uint32:
    case DataType::int64:
    case DataType::uint64:
    case DataType::boolean:
      return reduce_integers(call);
  }
}

}  // namespace paceline::memory
