# How everything is compiled.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Only what is marked PACELINE_API leaves the shared library; the rest is called without detours.
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

# Programs go where the documentation says they are.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

add_library(paceline_compiler INTERFACE)
target_compile_options(paceline_compiler INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wswitch-enum -fno-omit-frame-pointer)
# Not under a sanitizer: its instrumentation makes g++ 12 warn of things that are not there
# (-Wmaybe-uninitialized). The same sources are compiled with warnings as errors without it.
if(NOT PACELINE_SANITIZE)
  target_compile_options(paceline_compiler INTERFACE -Werror)
endif()

if(PACELINE_SANITIZE)
  add_compile_options(-fsanitize=${PACELINE_SANITIZE} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${PACELINE_SANITIZE})
endif()

if(PACELINE_FUZZ)  # counts which branches are taken; the programs of tests/fuzz read the counts
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "PACELINE_FUZZ needs clang, the compiler is ${CMAKE_CXX_COMPILER_ID}; "
                        "cmake --preset fuzz takes it")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# The reduce kernels are compiled once per instruction set, which takes minutes under instrumentation
# and teaches nothing about threads or about what peers send: one will do. g++'s address sanitizer
# sees the baseline and AVX2 (memory/reduce_targets.h).
if(PACELINE_FUZZ OR PACELINE_SANITIZE STREQUAL "thread")
  add_compile_definitions(HWY_COMPILE_ONLY_STATIC)
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()
