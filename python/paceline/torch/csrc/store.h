// PyTorch's rendezvous as the library's.
#pragma once

#include "prefix.h"

namespace paceline::torch_backend {

/// The ranks of one process group meet in the Store that torch hands over, whose keys outlive the
/// group: with torchrun a second init_process_group of the same program sees those of the first. So
/// each group has a generation of its own, by counting who has come.
class TorchStore : public Store {
 public:
  /// `size` ranks call it; blocks for a round trip to the store.
  TorchStore(c10::intrusive_ptr<c10d::Store> store, int size);

  void set(const std::string& key, const std::string& value) override;
  std::string get(const std::string& key, std::chrono::milliseconds timeout) override;

 private:
  c10::intrusive_ptr<c10d::Store> store_;
  std::string prefix_;
};

}  // namespace paceline::torch_backend
