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

}  // namespace paceline::transport::verbs
