// A Store over the control links: what one rank sets, all ranks of the communicator get. It works
// as long as the ranks hang together, also after the communicator has failed: so those that are
// left can meet anew without anything from outside.
//
// Notes are flooded; who hears one for the first time passes it on. The first value of a key stays.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "bootstrap/group_messages.h"
#include "paceline/store.h"

namespace paceline::bootstrap {

class Board final : public Store {
 public:
  /// Any thread: floods a note; on the service thread it then comes to note().
  using Publish = std::function<void(Note)>;
  explicit Board(Publish publish) : publish_(std::move(publish)) {}

  // Any thread but the service thread.
  void set(const std::string& key, const std::string& value) override;
  std::string get(const std::string& key, std::chrono::milliseconds timeout) override;

  /// Keeps it; false if the key is known already.
  bool note(const Note& note);
  /// Nothing will come any more: whoever waits gets an Error.
  void close();

 private:
  std::mutex mutex_;
  std::condition_variable news_;
  std::map<std::string, std::string> notes_;
  Publish publish_;  // empty once closed
};

}  // namespace paceline::bootstrap
