# cpack -G DEB: libpaceline0, libpaceline-dev and paceline-tools, one per component of install.cmake.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME paceline)
if(NOT CPACK_PACKAGE_CONTACT)  # who makes packages for others gives an address of their own
  set(CPACK_PACKAGE_CONTACT "The Paceline developers <paceline@localhost>")
endif()
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package has a first line of its own
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(version_of_package ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})
set(runtime_package libpaceline${PROJECT_VERSION_MAJOR})
set(components development)

configure_file(packaging/debian/changelog.in changelog.Debian @ONLY)
add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/changelog.Debian.gz
  COMMAND gzip -9nc changelog.Debian > changelog.Debian.gz
  DEPENDS ${PROJECT_BINARY_DIR}/changelog.Debian
  WORKING_DIRECTORY ${PROJECT_BINARY_DIR} VERBATIM)
add_custom_target(paceline_changelog ALL DEPENDS ${PROJECT_BINARY_DIR}/changelog.Debian.gz)

# paceline_package(component NAME package SECTION section TEXT description [DEPENDS packages])
# With programs or shared libraries in it, what they are linked with is found by dpkg-shlibdeps.
macro(paceline_package component)
  cmake_parse_arguments(P "SHLIBDEPS" "NAME;SECTION;TEXT;DEPENDS" "" ${ARGN})
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${P_NAME})
  set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${P_SECTION})
  set(CPACK_DEBIAN_${upper}_PACKAGE_SHLIBDEPS ${P_SHLIBDEPS})
  set(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "${P_DEPENDS}")
  set(CPACK_DEBIAN_${upper}_DESCRIPTION "${P_TEXT}")
  install(FILES packaging/debian/copyright ${PROJECT_BINARY_DIR}/changelog.Debian.gz
    DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${P_NAME} COMPONENT ${component})
endmacro()

set(development_depends "")
if(PACELINE_SHARED)
  list(APPEND components runtime)
  string(APPEND development_depends "${runtime_package} (= ${version_of_package}), ")
  paceline_package(runtime NAME ${runtime_package} SECTION libs SHLIBDEPS TEXT
    "collective communication for distributed training (library)
MPI-style collectives between the processes of a training job, over shared
memory, RDMA verbs and TCP, with errors that name the culprit.")
  # What packages that are linked with it depend on: the rule of docs/install.md, "Versions".
  math(EXPR next_minor "${PROJECT_VERSION_MINOR} + 1")
  math(EXPR next_major "${PROJECT_VERSION_MAJOR} + 1")
  if(PROJECT_VERSION_MAJOR EQUAL 0)
    set(first_that_breaks 0.${next_minor})
  else()
    set(first_that_breaks ${next_major})
  endif()
  configure_file(packaging/debian/shlibs.in shlibs @ONLY)
  set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA
    ${PROJECT_BINARY_DIR}/shlibs ${PROJECT_SOURCE_DIR}/packaging/debian/triggers)
endif()
paceline_package(development NAME libpaceline-dev SECTION libdevel
  DEPENDS "${development_depends}libssl-dev, libhwy-dev" TEXT
  "collective communication for distributed training (development)
Headers, the static library, and what CMake and pkg-config need.")
if(PACELINE_BUILD_TOOLS)
  list(APPEND components tools)
  paceline_package(tools NAME paceline-tools SECTION utils SHLIBDEPS TEXT
    "collective communication for distributed training (programs)
paceline says what of the machine the library can use, all_reduce_perf and its like time
its collectives and check their results.")
endif()

set(CPACK_COMPONENTS_ALL ${components})
include(CPack)
