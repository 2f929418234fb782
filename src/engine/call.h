// What a rank calls: the signature that all ranks must agree on, and the only thing about a call
// that travels with every message of it.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <type_traits>

#include "paceline/types.h"

namespace paceline::engine {

struct Call {
  Collective collective = Collective::barrier;
  DataType type = DataType::float32;
  ReduceOp op = ReduceOp::sum;
  /// Never `automatic`: chosen before the call is made, alike on all ranks.
  Algorithm algorithm = Algorithm::recursive_doubling;
  std::int32_t root = 0;
  std::uint64_t count = 0;
  /// The count of a v-form, in which blocks have a length per rank: the two ends of each edge
  /// compare theirs (extents.h). More than any count that is let in.
  static constexpr std::uint64_t kPerRank = ~std::uint64_t{0};
  [[nodiscard]] bool per_rank() const { return count == kPerRank; }

  /// Of all members, as two words.
  bool operator==(const Call& other) const {
    using Words = std::array<std::uint64_t, 2>;
    const auto mine = std::bit_cast<Words>(*this);
    const auto theirs = std::bit_cast<Words>(other);
    return ((mine[0] ^ theirs[0]) | (mine[1] ^ theirs[1])) == 0;
  }

  /// The signature as two words: {collective, type, op, algorithm: 8 bits each; root: 32}, count.
  [[nodiscard]] std::uint64_t word() const {
    return std::uint64_t{static_cast<std::uint8_t>(collective)} << 56 |
           std::uint64_t{static_cast<std::uint8_t>(type)} << 48 |
           std::uint64_t{static_cast<std::uint8_t>(op)} << 40 |
           std::uint64_t{static_cast<std::uint8_t>(algorithm)} << 32 |
           std::uint64_t{static_cast<std::uint32_t>(root)};
  }
  static Call from_words(std::uint64_t word, std::uint64_t count);

  /// "all_reduce(1024 x float32, sum)", "broadcast(3 x int64, root 0)", "barrier()",
  /// "all_gather_v(float32)".
  [[nodiscard]] std::string text() const;
};

static_assert(std::has_unique_object_representations_v<Call>);

/// What `call` is, beside another: with the algorithm if their texts do not tell them apart.
std::string told_apart(const Call& call, const Call& other);

/// "all_reduce(1024 x float32, sum) as call #7".
std::string numbered(std::uint64_t sequence, const Call& call);

}  // namespace paceline::engine
