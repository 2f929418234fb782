// What a machine is like and what is to be done there, as a text: parameters of the cost model
// (collectives/cost.h) and rules that override it (collectives/choice.h). docs/tuning.md has the
// format.
//
// Rank 0 alone reads the file, and its card carries the text to everybody (roster.h): all ranks
// read the same text, and find the same mistakes in it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/choice.h"
#include "communicator/roster.h"

namespace paceline {

/// One number of the file.
struct TuningSetting {
  /// Of the two levels of links, or neither.
  enum class Where { inside, between, machine };
  Where where = Where::machine;
  double collectives::LinkCost::*link = nullptr;           ///< inside, between
  double collectives::CostParameters::*machine = nullptr;  ///< machine
  double value = 0;
};

struct Tuning {
  std::vector<TuningSetting> settings;
  std::vector<collectives::Rule> rules;

  /// `parameters` with the settings in place of its own.
  [[nodiscard]] collectives::CostParameters applied_to(
      collectives::CostParameters parameters) const;
};

/// What the text says; throws Error (invalid_configuration) "FILE:LINE: ..." for what it may not
/// say.
Tuning tuning_from(const TuningText& text);

/// The file at `path`; empty: no text. What prevents it is TuningText::trouble.
TuningText read_tuning(const std::string& path);

/// What is assumed of a wire if nobody says better.
collectives::LinkCost built_in_link(WireNumber wire);
/// The same of a whole machine.
collectives::CostParameters built_in_parameters(WireNumber inside, WireNumber between);

/// Bytes, or with K, M or G, powers of 1024; nothing if it is not a size.
std::optional<std::uint64_t> size_from(std::string_view text);

}  // namespace paceline
