// From a kernel's text to code for a GPU, by NVRTC; kept in $XDG_CACHE_HOME/equipot/cuda (else ~/.cache/equipot/cuda).
#pragma once

#include <string>

namespace equipot {
namespace cuda {

// What cuModuleLoadData takes, for architecture 10 · major + minor: a cubin, or PTX where NVRTC is older than the GPU.
// Throws std::runtime_error with the first line of the compiler's messages.
std::string compile(const std::string &source, int architecture);

// As it comes from NVRTC, without the cache; `log` gets its messages, with the registers each kernel takes.
std::string compile_anew(const std::string &source, int architecture, std::string *log);

}    // namespace cuda
}    // namespace equipot
