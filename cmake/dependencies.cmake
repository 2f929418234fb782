# Each for its own job; all from the distribution's packages (tools/install-packages).
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)  # HMAC-SHA256, random numbers
find_package(PkgConfig REQUIRED)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)      # SIMD with run-time dispatch
find_path(IBVERBS_INCLUDE_DIR infiniband/verbs.h REQUIRED)  # headers only: loaded at run time
find_path(JSON_INCLUDE_DIR nlohmann/json.hpp REQUIRED)        # headers only: traces
find_path(PMIX_INCLUDE_DIR pmix.h HINTS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/pmix2/include
          REQUIRED)  # headers only, likewise
