// A Store is where ranks meet that know nothing of each other yet: a small key-value map that
// all of them can reach (a launcher's, PyTorch's, a shared directory, a dictionary in a test).
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "paceline/export.h"

namespace paceline {

/// Implement this to bring your own rendezvous. Methods may be called from the thread that
/// creates the Communicator only. Keys are short ASCII; values are at most 64 KiB of any bytes.
/// A Store is trusted: the job's secret travels through it.
class PACELINE_API Store {
 public:
  virtual ~Store() = default;
  /// Makes `value` visible under `key` to all ranks. A key is set once.
  virtual void set(const std::string& key, const std::string& value) = 0;
  /// Waits until `key` is set and returns its value; throws paceline::Error (timeout) if it is
  /// not set within `timeout`.
  virtual std::string get(const std::string& key, std::chrono::milliseconds timeout) = 0;
};

/// A map inside one process, for ranks that are threads. Thread-safe.
PACELINE_API std::shared_ptr<Store> make_process_store();

/// One file per key in a directory all ranks share; the directory is made if it is missing and
/// must be private to the job (the store trusts its owner's permissions, 0700).
PACELINE_API std::shared_ptr<Store> make_file_store(const std::filesystem::path& directory);

}  // namespace paceline
