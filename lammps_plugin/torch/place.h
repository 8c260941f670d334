// GPU, stream and scratch memory of a call of the GPU kernels.
#pragma once

#include "cuda/engine_cuda.h"

#include <ATen/core/Tensor.h>

namespace equipot {

class Place {
 public:
  // The place of the tensor, with this many bytes of scratch memory. It must live until the work is in the queue.
  explicit Place(const at::Tensor &on, int64_t scratch = 0);
  operator const equipot_cuda *() const { return &place; }

 private:
  at::Tensor workspace;
  equipot_cuda place{};
};

// The tensor in host memory. Copies of GPU buffers are kept, because a copy waits for the GPU.
at::Tensor host_copy(const at::Tensor &tensor);

}    // namespace equipot
