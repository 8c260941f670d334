// Kernels in a GPU's memory, each loaded once, and their launch.
#pragma once

#include "driver.h"
#include "engine_cuda.h"
#include "specialise.h"

#include <functional>
#include <string>

namespace equipot {
namespace cuda {

// Makes the GPU's primary context current on this thread, and what was current before again at the end.
class Current {
 public:
  explicit Current(int64_t device);
  explicit Current(const equipot_cuda &on);
  ~Current();
  Current(const Current &) = delete;
  Current &operator=(const Current &) = delete;
};

struct Loaded {
  Layout layout;    // of the convolution's kernels; its source is dropped
  Module module;    // null where there is nothing to do
};

// Specialised for the problem, compiled and loaded when it is asked for the first time. The context must be current.
const Loaded &load(const equipot_convolution &problem, const Kernel &kernel, int64_t device);

// The same for kernels of which `make` gives the text; `key` stands for it.
const Loaded &load(const std::string &key, const std::function<std::string()> &make, int64_t device);

// `arguments`: the kernel's only one.
void launch(const Loaded &loaded, const char *kernel, int64_t blocks, int64_t blocks_y, int threads, void *stream,
            const void *arguments);

}    // namespace cuda
}    // namespace equipot
