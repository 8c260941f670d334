// Compiled kernels on disk, one file each. A file names all it was made from, so one that is damaged, of another
// version or of equal hash is not taken for the one wanted.
#pragma once

#include <string>

namespace equipot {
namespace cuda {

std::string read_cache(const std::string &key);    // empty where there is none that is good
void write_cache(const std::string &key, const std::string &code);

}    // namespace cuda
}    // namespace equipot
