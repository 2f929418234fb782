# cmake --install: the library in both forms, its headers, the CMake package, the pkg-config file, the
# programs and their manual pages; in three components, which are the packages of packages.cmake.
#
#   runtime      libpaceline.so.0
#   development  headers, libpaceline.so, libpaceline.a, what CMake and pkg-config read
#   tools        paceline, the *_perf programs, paceline_calibrate, manual pages

# Debian's folder for libraries, whatever the prefix: its loader, pkg-config and CMake look there.
if(EXISTS /etc/debian_version AND CMAKE_LIBRARY_ARCHITECTURE)
  set(CMAKE_INSTALL_LIBDIR lib/${CMAKE_LIBRARY_ARCHITECTURE} CACHE PATH "Folder for libraries")
endif()
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/Paceline)

install(DIRECTORY include/paceline DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development
  FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")

# One file of targets per form: a program that takes the shared one needs none of the packages that
# the static one is linked with.
if(PACELINE_SHARED)
  install(TARGETS paceline_shared EXPORT PacelineSharedTargets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT development)
  install(EXPORT PacelineSharedTargets NAMESPACE Paceline:: DESTINATION ${package_folder}
    COMPONENT development)
endif()
if(PACELINE_STATIC)
  install(TARGETS paceline_static EXPORT PacelineStaticTargets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
  install(EXPORT PacelineStaticTargets NAMESPACE Paceline:: DESTINATION ${package_folder}
    COMPONENT development)
  # CMake strips programs and shared libraries only; of this archive nine tenths are for a debugger.
  install(CODE "if(CMAKE_INSTALL_DO_STRIP)
    execute_process(COMMAND ${CMAKE_STRIP} --strip-debug \
\"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/libpaceline.a\"
      COMMAND_ERROR_IS_FATAL ANY)
  endif()" COMPONENT development)
endif()

configure_package_config_file(cmake/PacelineConfig.cmake.in PacelineConfig.cmake
  INSTALL_DESTINATION ${package_folder})
# The rule of docs/install.md, "Versions".
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatible SameMinorVersion)
else()
  set(compatible SameMajorVersion)
endif()
write_basic_package_version_file(PacelineConfigVersion.cmake COMPATIBILITY ${compatible})
install(FILES ${PROJECT_BINARY_DIR}/PacelineConfig.cmake
              ${PROJECT_BINARY_DIR}/PacelineConfigVersion.cmake
  DESTINATION ${package_folder} COMPONENT development)

# paceline.pc finds its prefix from where it lies itself, so that the whole can be moved.
file(RELATIVE_PATH PREFIX_FROM_PC /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" PREFIX_FROM_PC "${PREFIX_FROM_PC}")
configure_file(cmake/paceline.pc.in paceline.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/paceline.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

# Programs link the layers and need no libpaceline.so. Each comes with its manual page, packed as
# manual pages are.
set(manual_pages "")
foreach(program IN ITEMS paceline_program all_reduce_perf reduce_scatter_perf all_gather_perf
                         all_to_all_perf broadcast_perf reduce_perf gather_perf scatter_perf
                         sendrecv_perf paceline_calibrate)
  if(TARGET ${program})
    get_target_property(name ${program} OUTPUT_NAME)
    if(NOT name)
      set(name ${program})
    endif()
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)
    set(packed ${PROJECT_BINARY_DIR}/man/${name}.1.gz)
    add_custom_command(OUTPUT ${packed}
      COMMAND gzip -9nc ${name}.1 > ${packed}
      DEPENDS docs/man/${name}.1 WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}/docs/man VERBATIM)
    list(APPEND manual_pages ${packed})
    install(FILES ${packed} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT tools)
  endif()
endforeach()
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/man)
add_custom_target(paceline_manual_pages ALL DEPENDS ${manual_pages})
