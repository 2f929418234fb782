// Numbers written by people: the whole text must be the number, or there is none.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace paceline {

/// No sign but a leading minus, no blanks, no suffix; empty if T cannot hold it.
template <class T>
std::optional<T> number_from(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace paceline
