# find_package(equipot) for programs that use the C interface; `equipot runtime --cmake` prints this folder:
#
#   cmake -Dequipot_DIR=$(equipot runtime --cmake) ...
#   find_package(equipot REQUIRED)
#   target_link_libraries(program PRIVATE equipot::equipot)
get_filename_component(equipot_folder "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)
if(NOT TARGET equipot::equipot)
  add_library(equipot::equipot SHARED IMPORTED)
  set_target_properties(equipot::equipot PROPERTIES
    IMPORTED_LOCATION "${equipot_folder}/_engine.so"
    IMPORTED_SONAME "_engine.so"
    INTERFACE_INCLUDE_DIRECTORIES "${equipot_folder}/include")
endif()
