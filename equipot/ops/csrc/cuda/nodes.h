// The gate on a GPU.
#pragma once

#include "arguments.h"
#include "engine_cuda.h"

namespace equipot {
namespace cuda {

// One of the kernels of gate.cu; pointers are in `arguments`, the rest comes from `gate`.
void gate(const equipot_gating &gate, const equipot_cuda &on, const char *kernel, GateArguments arguments);

}    // namespace cuda
}    // namespace equipot
