// What the kernels for GPUs are told besides their arguments: GPU, stream and scratch memory.
#pragma once

#include "cuda/engine_cuda.h"

#include <ATen/core/Tensor.h>

namespace equipot {

class Place {
 public:
  // Where the tensor lies, with as many bytes of scratch. To be kept until the work has been put there.
  explicit Place(const at::Tensor &on, int64_t scratch = 0);
  operator const equipot_cuda *() const { return &place; }

 private:
  at::Tensor workspace;
  equipot_cuda place{};
};

// The tensor in the host's memory. Of buffers on a GPU a copy is kept, for copying waits for the GPU.
at::Tensor host_copy(const at::Tensor &tensor);

}    // namespace equipot
