#include "store.h"

namespace paceline::torch_backend {

TorchStore::TorchStore(c10::intrusive_ptr<c10d::Store> store, int size) : store_(std::move(store)) {
  const std::int64_t arrived = store_->add("paceline/arrived", 1);
  prefix_ = "paceline/" + std::to_string((arrived - 1) / size) + "/";
}

void TorchStore::set(const std::string& key, const std::string& value) {
  store_->set(prefix_ + key, std::vector<std::uint8_t>(value.begin(), value.end()));
}

std::string TorchStore::get(const std::string& key, std::chrono::milliseconds timeout) {
  const std::string full = prefix_ + key;
  try {
    store_->wait({full}, timeout);
  } catch (const c10::Error& error) {
    throw Error(ErrorCode::timeout, "the key " + full + " did not appear in torch's store within " +
                                        std::to_string(timeout.count()) +
                                        " ms: " + error.what_without_backtrace());
  }
  const std::vector<std::uint8_t> value = store_->get(full);
  return {value.begin(), value.end()};
}

}  // namespace paceline::torch_backend
