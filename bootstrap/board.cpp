#include "bootstrap/board.h"

#include "bootstrap/text.h"
#include "paceline/error.h"

namespace paceline::bootstrap {

void Board::set(const std::string& key, const std::string& value) {
  if (key.size() > kMaxName || value.size() > kMaxBlock) {
    throw Error(ErrorCode::invalid_argument,
                "a note has a key of at most " + std::to_string(kMaxName) +
                    " bytes and a value of at most " + std::to_string(kMaxBlock) + ", not " +
                    std::to_string(key.size()) + " and " + std::to_string(value.size()));
  }
  const ConstBytes bytes = std::as_bytes(std::span(value));
  const std::lock_guard lock(mutex_);
  if (publish_) publish_({key, Bytes(bytes.begin(), bytes.end())});
}

std::string Board::get(const std::string& key, std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  news_.wait_for(lock, timeout, [&] { return notes_.contains(key) || !publish_; });
  const auto found = notes_.find(key);
  if (found != notes_.end()) return found->second;
  throw Error(publish_ ? ErrorCode::timeout : ErrorCode::bootstrap_failed,
              "no rank has told the others \"" + key + "\" " +
                  (publish_ ? "within " + seconds(timeout)
                            : std::string("before the communicator was left")));
}

bool Board::note(const Note& note) {
  const std::lock_guard lock(mutex_);
  const std::string value(reinterpret_cast<const char*>(note.value.data()), note.value.size());
  const bool is_new = notes_.try_emplace(note.key, value).second;
  if (is_new) news_.notify_all();
  return is_new;
}

void Board::close() {
  const std::lock_guard lock(mutex_);
  publish_ = nullptr;
  news_.notify_all();
}

}  // namespace paceline::bootstrap
