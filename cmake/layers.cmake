# paceline_layer(NAME name DIRECTORY dir SOURCES ... DEPENDS layers... LIBRARIES libs...)
#
# A layer is a static library whose headers are included as "name/header.h". Its include directory
# holds one link, name -> dir, and travels with the target: a layer sees the headers of the layers
# that it links and of no others, so the direction of the arrows is checked by the compiler.
function(paceline_layer)
  cmake_parse_arguments(L "" "NAME;DIRECTORY" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  set(room ${CMAKE_BINARY_DIR}/rooms/${L_NAME})
  file(MAKE_DIRECTORY ${room})
  file(CREATE_LINK ${L_DIRECTORY} ${room}/${L_NAME} SYMBOLIC)

  set(target paceline_${L_NAME})
  add_library(${target} STATIC ${L_SOURCES})
  target_include_directories(${target} PUBLIC ${room})
  target_link_libraries(${target} PUBLIC paceline_headers PRIVATE paceline_compiler)
  # PACELINE_LAYERS of a layer: itself and all below it.
  set(layers ${target})
  foreach(dependency IN LISTS L_DEPENDS)
    target_link_libraries(${target} PUBLIC paceline_${dependency})
    get_target_property(below paceline_${dependency} PACELINE_LAYERS)
    list(APPEND layers ${below})
  endforeach()
  list(REMOVE_DUPLICATES layers)
  set_target_properties(${target} PROPERTIES PACELINE_LAYERS "${layers}")
  target_link_libraries(${target} PRIVATE ${L_LIBRARIES})
endfunction()
