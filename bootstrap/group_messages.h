// Messages on the control links that concern all ranks and travel from neighbour to neighbour.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bootstrap/bootstrap.h"
#include "bootstrap/messages.h"

namespace paceline::bootstrap {

/// What one rank says in an inquiry. A status with three calls takes about 200 bytes.
inline constexpr std::size_t kMaxTestimony = 4096;
/// What is asked: a call and its number.
inline constexpr std::size_t kMaxQuestion = 1024;
/// A list of ranks in one frame: 16,000 of them.
inline constexpr std::uint32_t kMaxRanks = 16'000;

/// A question on its way: see inquiry.h.
struct Inquiry {
  std::uint32_t asker = 0;
  std::uint32_t number = 0;
  Topic topic = Topic::hang;
  std::uint32_t limit_ms = 0;  ///< how long who receives this may take
  Bytes question = {};

  [[nodiscard]] Bytes encode() const;
  static std::optional<Inquiry> decode(ConstBytes bytes);
};

/// Testimonies on their way back.
struct Answer {
  std::uint32_t asker = 0;
  std::uint32_t number = 0;
  bool last = true;
  std::vector<std::pair<std::uint32_t, Bytes>> testimonies = {};

  [[nodiscard]] Bytes encode() const;
  static std::optional<Answer> decode(ConstBytes bytes);
};

/// Ranks that have died or left. Also without any: then it only says that it matters now.
struct Gone {
  std::vector<std::uint32_t> ranks = {};

  [[nodiscard]] Bytes encode() const;
  static std::optional<Gone> decode(ConstBytes bytes);
};

/// Who survives: see agreement.h.
struct Decision {
  std::uint32_t epoch = 0;
  std::uint32_t leader = 0;
  std::vector<std::uint32_t> ranks = {};  ///< ascending

  [[nodiscard]] Bytes encode() const;
  void encode(WireWriter& out) const;
  static std::optional<Decision> decode(ConstBytes bytes);
  static std::optional<Decision> decode(WireReader& in);
};

/// One entry of the board: see board.h.
struct Note {
  std::string key = {};
  Bytes value = {};

  [[nodiscard]] Bytes encode() const;
  static std::optional<Note> decode(ConstBytes bytes);
};

}  // namespace paceline::bootstrap
