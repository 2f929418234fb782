# The layers as one library, twice: paceline_shared is libpaceline.so, paceline_static libpaceline.a.
# Both are made from the layers' own object files, so nothing is compiled again. Programs of this
# project link the layers themselves.

# All that the top layer is built upon: the simulated wire, which only tests use, stays outside.
get_target_property(shipped_layers paceline_communicator PACELINE_LAYERS)
list(TRANSFORM shipped_layers REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE shipped_objects)
# What of other projects they are linked with; paceline.pc.in and PacelineConfig.cmake.in name it too.
set(shipped_with OpenSSL::Crypto PkgConfig::HWY Threads::Threads ${CMAKE_DL_LIBS})

# So that a project can link Paceline::paceline whether it found the package or has this folder in
# its tree.
add_library(Paceline::paceline ALIAS paceline_communicator)

if(PACELINE_SHARED)
  # See docs/install.md, "Versions": while the major version is 0 a minor one may break programs.
  # The soname stays, and the version of the symbols makes the loader refuse such a pair.
  set(PACELINE_SYMBOL_VERSION PACELINE_${PROJECT_VERSION_MAJOR})
  if(PROJECT_VERSION_MAJOR EQUAL 0)
    string(APPEND PACELINE_SYMBOL_VERSION .${PROJECT_VERSION_MINOR})
  endif()
  configure_file(cmake/symbols.map.in symbols.map @ONLY)

  add_library(paceline_shared SHARED ${shipped_objects})
  set_target_properties(paceline_shared PROPERTIES
    OUTPUT_NAME paceline EXPORT_NAME paceline
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS ${PROJECT_BINARY_DIR}/symbols.map)
  target_link_libraries(paceline_shared PRIVATE ${shipped_with})
  target_link_options(paceline_shared PRIVATE
    LINKER:--version-script=${PROJECT_BINARY_DIR}/symbols.map)
  if(NOT PACELINE_SANITIZE)  # whose run-time library comes with the program
    target_link_options(paceline_shared PRIVATE LINKER:--no-undefined)
  endif()
endif()

if(PACELINE_STATIC)
  add_library(paceline_static STATIC ${shipped_objects})
  set_target_properties(paceline_static PROPERTIES OUTPUT_NAME paceline)
  target_link_libraries(paceline_static PRIVATE ${shipped_with})
endif()

foreach(form IN ITEMS paceline_shared paceline_static)
  if(TARGET ${form})
    set_target_properties(${form} PROPERTIES LINKER_LANGUAGE CXX)
    target_compile_features(${form} INTERFACE cxx_std_20)
    target_include_directories(${form} INTERFACE
      $<INSTALL_INTERFACE:include> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  endif()
endforeach()
