// The convolution's derivatives as sequences of kernels.
#pragma once

#include "arguments.h"
#include "launch.h"

namespace equipot {
namespace cuda {

void forward(const equipot_convolution &problem, const equipot_cuda &on, void *out);
void backward(const equipot_convolution &problem, const equipot_cuda &on, const void *grad, void *dx, void *dvectors,
              void *dtable);
void second(const equipot_convolution &problem, const equipot_cuda &on, const void *grad, const void *ax, const void *av,
            void *dgrad, void *dx, void *dvectors, void *dtable);

// Bytes of scratch for one of the two.
int64_t workspace(const equipot_convolution &problem, const equipot_cuda &on, bool is_second, bool dx, bool dvectors,
                  bool dtable);

}    // namespace cuda
}    // namespace equipot
