// The kernels' texts (*.cu and arguments.h), written into the library by CMakeLists.txt.
#pragma once

namespace equipot {
namespace cuda {

struct Source {
  const char *name, *text;
};

extern const Source sources[];    // the last one has no name

}    // namespace cuda
}    // namespace equipot
