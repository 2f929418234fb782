#include "bootstrap/pmix_library.h"

#include <dlfcn.h>

#include <string>

#include "paceline/error.h"

namespace paceline::bootstrap {

namespace {

/// The soname of every PMIx since version 2.1; all of them understand each other's servers.
constexpr const char* kLibrary = "libpmix.so.2";

// One that is loaded already (MPI's) must be shared: PMIx counts its users, but in each copy for
// itself. Next comes the launcher's own, whose plug-ins are where the launcher's variables say.
void* load(const PmixChannel& channel) {
  if (void* const loaded = ::dlopen(kLibrary, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD)) return loaded;
  for (const std::string& folder : channel.folders) {
    const std::string path = folder + "/" + kLibrary;
    if (void* const own = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL)) return own;
  }
  if (void* const installed = ::dlopen(kLibrary, RTLD_NOW | RTLD_GLOBAL)) return installed;
  std::string tried;
  for (const std::string& folder : channel.folders) tried += ", " + folder;
  throw Error(ErrorCode::unsupported,
              std::string("the launcher speaks PMIx, but ") + kLibrary +
                  " cannot be loaded (looked for by the loader" + tried + "; " + ::dlerror() +
                  "); install it or name its folder in LD_LIBRARY_PATH, or set "
                  "PACELINE_ROOT=host:port");
}

template <class Function>
void find(void* handle, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(handle, name));
  if (function == nullptr) {
    throw Error(ErrorCode::unsupported,
                std::string(kLibrary) + " has no " + name + "; set PACELINE_ROOT=host:port");
  }
}

}  // namespace

PmixLibrary::PmixLibrary(void* handle) {
  find(handle, "PMIx_Init", init);
  find(handle, "PMIx_Finalize", finalize);
  find(handle, "PMIx_Put", put);
  find(handle, "PMIx_Commit", commit);
  find(handle, "PMIx_Fence_nb", fence);
  find(handle, "PMIx_Get", get);
  find(handle, "PMIx_Error_string", error_string);
}

const PmixLibrary& PmixLibrary::of_process(const PmixChannel& channel) {
  static const PmixLibrary library(load(channel));
  return library;
}

}  // namespace paceline::bootstrap
