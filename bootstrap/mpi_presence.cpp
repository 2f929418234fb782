#include "bootstrap/mpi_presence.h"

#include <dlfcn.h>
#include <link.h>

#include <string>
#include <string_view>
#include <vector>

namespace paceline::bootstrap {

namespace {

// int MPI_Initialized(int*): the same in every MPI, since it takes none of its handles.
using Initialized = int (*)(int*);

bool says_yes(void* symbol) {
  int flag = 0;
  return symbol != nullptr && reinterpret_cast<Initialized>(symbol)(&flag) == 0 && flag != 0;
}

// Libraries that an extension module of Python brought in are in no global scope, so they are
// looked for by name: libmpi.so.40, libmpich.so.12, libmpi_cray.so.12.
int collect(dl_phdr_info* info, std::size_t, void* argument) {
  const std::string_view path = info->dlpi_name == nullptr ? "" : info->dlpi_name;
  if (path.substr(path.rfind('/') + 1).starts_with("libmpi")) {
    static_cast<std::vector<std::string>*>(argument)->emplace_back(path);
  }
  return 0;
}

}  // namespace

bool mpi_was_initialized() {
  if (says_yes(::dlsym(RTLD_DEFAULT, "MPI_Initialized"))) return true;
  std::vector<std::string> libraries;
  ::dl_iterate_phdr(collect, &libraries);
  for (const std::string& path : libraries) {
    void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
    if (library == nullptr) continue;
    const bool yes = says_yes(::dlsym(library, "MPI_Initialized"));
    ::dlclose(library);  // only our own count of it
    if (yes) return true;
  }
  return false;
}

}  // namespace paceline::bootstrap
