// "Did you mean ...": the known spelling nearest to a wrong one.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace paceline {

/// How many letters must be inserted, deleted, replaced or swapped with their neighbour to make
/// one text from the other.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The one of `known` with the smallest edit distance to `given`, the first of equals; empty if
/// `known` is.
std::string_view nearest(std::string_view given, std::span<const std::string_view> known);

}  // namespace paceline
