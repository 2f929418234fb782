// Libraries that are loaded at run time, because machines without RDMA do not have them.
#pragma once

#include <dlfcn.h>

#include <cstring>
#include <string>

namespace paceline::transport::verbs {

/// Finds symbols and remembers the first that is missing.
class Loader {
 public:
  explicit Loader(void* library) : library_(library) {}
  template <class Function>
  void find(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(::dlsym(library_, name));
    if (function == nullptr && missing_.empty()) missing_ = name;
  }
  [[nodiscard]] const std::string& missing() const { return missing_; }

 private:
  void* library_;
  std::string missing_;
};

/// For the rest of the process's life; null, and in `why_not` the reason, if it cannot be.
inline void* open_library(const char* library, std::string& why_not) {
  void* handle = ::dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle != nullptr) return handle;
  why_not = std::string(library) + " not found";
  if (const char* reason = ::dlerror(); std::strstr(reason, "No such file") == nullptr) {
    why_not = std::string(library) + " cannot be loaded (" + reason + ")";
  }
  return nullptr;
}

/// For the rest of the process's life: opens `library` and lets `find_all`, which names the first
/// symbol that is missing, fill `symbols`. False, and in `why_not` the reason, if it cannot be.
template <class Symbols>
bool load(const char* library, Symbols& symbols, std::string (*find_all)(void*, Symbols&),
          std::string& why_not) {
  void* handle = open_library(library, why_not);
  if (handle == nullptr) return false;
  const std::string missing = find_all(handle, symbols);
  if (missing.empty()) return true;
  why_not = std::string(library) + " has no " + missing + ": rdma-core 35 or newer is needed";
  return false;
}

}  // namespace paceline::transport::verbs
