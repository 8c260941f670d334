# The same functions for GPUs. Nothing of CUDA is needed to build them: its libraries are opened when they run, and the
# kernels are compiled on the user's machine from their text, which the library holds.
set(device_sources arguments.h radial.cu tile.cu centre.cu neighbour.cu table.cu rows.cu graph.cu gate.cu)
set(texts "")
foreach(name ${device_sources})
  set(file "${CMAKE_CURRENT_LIST_DIR}/${name}")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  file(READ "${file}" text)
  string(APPEND texts "    {\"${name}\", R\"equipot(${text})equipot\"},\n")
endforeach()
file(GENERATE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/cuda_sources.cpp" CONTENT
"#include \"sources.h\"

namespace equipot {
namespace cuda {

const Source sources[] = {
${texts}    {nullptr, nullptr}};

}    // namespace cuda
}    // namespace equipot
")

set(here cuda)
add_library(equipot_cuda OBJECT
  ${here}/cache.cpp ${here}/compile.cpp ${here}/distribute.cpp ${here}/driver.cpp ${here}/engine_cuda.cpp
  ${here}/graph.cpp ${here}/launch.cpp ${here}/nodes.cpp ${here}/specialise.cpp ${here}/steps.cpp
  "${CMAKE_CURRENT_BINARY_DIR}/cuda_sources.cpp")
target_include_directories(equipot_cuda PRIVATE "${CMAKE_CURRENT_LIST_DIR}")
target_compile_options(equipot_cuda PRIVATE -O2 -Wall -Wextra)
