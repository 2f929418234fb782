#include "engine/staging.h"

#include <algorithm>

#include "memory/scale.h"
#include "paceline/floats.h"

namespace paceline::engine {

void Staging::load(const Piece& piece, std::byte* copy) {
  memory::kind_of(piece.memory).copy(copy + piece.offset, piece.memory, piece.bytes);
}

void Staging::store(const Piece& piece, const std::byte* copy) {
  memory::kind_of(piece.memory).copy(piece.memory, copy + piece.offset, piece.bytes);
}

void Staging::scale(std::byte* copy, std::size_t count, DataType type, double factor) {
  const auto by = [&](auto value) { memory::scale(type, &value, copy, copy, count); };
  const auto narrowed = static_cast<float>(factor);
  switch (type) {
    case DataType::float64:
      return by(factor);
    case DataType::float16:
      return by(float16(narrowed));
    case DataType::bfloat16:
      return by(bfloat16(narrowed));
    case DataType::float8_e4m3:
      return by(float8_e4m3(narrowed));
    case DataType::float8_e5m2:
      return by(float8_e5m2(narrowed));
    case DataType::float32:
    case DataType::int8:
    case DataType::uint8:
    case DataType::int32:
    case DataType::uint32:
    case DataType::int64:
    case DataType::uint64:
    case DataType::boolean:
      return by(narrowed);  // scale() refuses what is not floating point
  }
}

}  // namespace paceline::engine
