// The history of a communicator as text that other programs read.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "paceline/history.h"

namespace paceline::engine {

/// Whose history it is, and when it was taken on both clocks: ranks of several hosts have the wall
/// clock in common, as far as their hosts agree on it.
struct HistoryOwner {
  int rank = 0;
  int size = 1;
  std::string communicator;
  std::string host;
  int pid = 0;
  Nanoseconds steady = 0;
  Nanoseconds unix_time = 0;  ///< since 1970

  /// This process, now.
  static HistoryOwner now(int rank, int size, const std::string& communicator);
};

std::string history_text(const HistoryOwner& owner, const std::vector<OperationRecord>& records,
                         HistoryFormat format);

/// Throws Error (invalid_argument) if the file cannot be written.
void write_file(const std::string& path, const std::string& text);

}  // namespace paceline::engine
