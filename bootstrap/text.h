// Words for error texts.
#pragma once

#include <chrono>
#include <iomanip>
#include <sstream>
#include <string>

namespace paceline::bootstrap {

/// "1.5 s"
inline std::string seconds(std::chrono::nanoseconds time) {
  std::ostringstream out;
  out << std::setprecision(3) << std::chrono::duration<double>(time).count() << " s";
  return out.str();
}

}  // namespace paceline::bootstrap
