// The device of a model, and the libraries that a GPU needs. Depends on torch, not on LAMMPS.
#pragma once

#include <string>

#include <c10/core/Device.h>

namespace equipot {

// The device for `cpu`, `cuda` (the processes of a machine share its GPUs in turn) or `cuda:N`, for the local_rank-th
// process on its machine. Loads torch's CUDA library and the compiler of the kernels. Throws ModelError.
c10::Device torch_device(const std::string &wish, int local_rank);

}    // namespace equipot
