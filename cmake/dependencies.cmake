# Each for its own job; all from the distribution's packages (tools/install-packages). What is missing
# is said at once, whoever asks: `pip install .` comes here too.
find_package(Threads REQUIRED)
find_package(OpenSSL QUIET COMPONENTS Crypto)  # HMAC-SHA256, random numbers
find_package(PkgConfig QUIET)
if(PKG_CONFIG_FOUND)
  pkg_check_modules(HWY QUIET IMPORTED_TARGET libhwy)  # SIMD with run-time dispatch
endif()
find_path(IBVERBS_INCLUDE_DIR infiniband/verbs.h)  # headers only: loaded at run time
find_path(JSON_INCLUDE_DIR nlohmann/json.hpp)      # headers only: traces
find_path(PMIX_INCLUDE_DIR pmix.h HINTS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/pmix2/include)
                                                   # headers only, likewise

# require(found package): a line for what is not there.
set(missing "")
function(require found package)
  if(NOT ${found})
    set(missing "${missing}\n  ${package}" PARENT_SCOPE)
  endif()
endfunction()
require(OPENSSL_FOUND "libssl-dev (OpenSSL's libcrypto)")
require(PKG_CONFIG_FOUND "pkg-config")
require(HWY_FOUND "libhwy-dev (Highway)")
require(IBVERBS_INCLUDE_DIR "libibverbs-dev (infiniband/verbs.h)")
require(JSON_INCLUDE_DIR "nlohmann-json3-dev (nlohmann/json.hpp)")
require(PMIX_INCLUDE_DIR "libpmix-dev (pmix.h)")
if(missing)
  message(FATAL_ERROR "These Debian packages, or their equivalents, are missing:${missing}\n"
                      "tools/install-packages, in the source tree of Paceline, installs them.")
endif()
