#include <condition_variable>
#include <map>
#include <mutex>

#include "paceline/error.h"
#include "paceline/store.h"

namespace paceline {

namespace {

class ProcessStore final : public Store {
 public:
  void set(const std::string& key, const std::string& value) override {
    std::lock_guard lock(mutex_);
    if (!values_.try_emplace(key, value).second) {
      throw Error(ErrorCode::invalid_argument,
                  "the store's key \"" + key +
                      "\" is set already: give every communicator in one store its own name");
    }
    set_.notify_all();
  }

  std::string get(const std::string& key, std::chrono::milliseconds timeout) override {
    std::unique_lock lock(mutex_);
    if (!set_.wait_for(lock, timeout, [&] { return values_.contains(key); })) {
      throw Error(ErrorCode::timeout, "nobody has set the store's key \"" + key + "\" within " +
                                          std::to_string(timeout.count()) + " ms");
    }
    return values_.at(key);
  }

 private:
  std::mutex mutex_;
  std::condition_variable set_;
  std::map<std::string, std::string> values_;
};

}  // namespace

std::shared_ptr<Store> make_process_store() {
  return std::make_shared<ProcessStore>();
}

}  // namespace paceline
