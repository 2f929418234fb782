// The launcher's channel where it speaks PMI-1 (bootstrap/pmi1_channel.h), as a Store for the one
// thing that rank 0 has to tell.
#pragma once

#include <chrono>
#include <string>

#include "bootstrap/pmi1_channel.h"
#include "paceline/store.h"

namespace paceline::bootstrap {

/// A Store in which rank 0 sets and everybody else gets each key, once, all in the same order:
/// set() and get() are our part in a barrier of all processes of the job. `channel` has begun.
class Pmi1Store final : public Store {
 public:
  Pmi1Store(Pmi1Channel& channel, std::chrono::milliseconds timeout)
      : channel_(channel), timeout_(timeout) {}

  void set(const std::string& key, const std::string& value) override;
  std::string get(const std::string& key, std::chrono::milliseconds timeout) override;

 private:
  Pmi1Channel& channel_;
  const std::chrono::milliseconds timeout_;
};

}  // namespace paceline::bootstrap
