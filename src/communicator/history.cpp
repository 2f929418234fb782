// What a communicator remembers of its calls, and the trace that it leaves behind.
#include "base/path_pattern.h"
#include "communicator/core.h"
#include "engine/history_file.h"

namespace paceline {

std::vector<OperationRecord> CommunicatorCore::history() const {
  const std::lock_guard guard(*lock_);
  return engine_->records();
}

void CommunicatorCore::write_history(const std::string& path, HistoryFormat format) const {
  const std::vector<OperationRecord> records = history();
  const auto owner = engine::HistoryOwner::now(config_.rank, config_.size, name_);
  engine::write_file(path, engine::history_text(owner, records, format));
}

void CommunicatorCore::write_trace() noexcept {
  if (config_.trace_file.empty()) return;
  try {
    write_history(expand_path(config_.trace_file, {config_.rank, name_}),
                  HistoryFormat::chrome_trace);
  } catch (const std::exception& error) {
    log_.error(LogComponent::communicator, [&] { return std::string(error.what()); });
  }
}

void CommunicatorCore::write_trace_of_failure() noexcept {
  if (!error_ || traced_failure_) return;
  traced_failure_ = true;
  write_trace();
}

}  // namespace paceline
