// Which device a model runs on, and what has to be loaded for a GPU. Knows torch and nothing of LAMMPS.
#pragma once

#include <string>

#include <c10/core/Device.h>

namespace equipot {

// The device for `cpu`, `cuda` (the GPUs of a machine are dealt out to its processes) or `cuda:N`, for the local_rank-th
// process on its machine. Loads torch's part for CUDA and the kernels' compiler. Throws ModelError.
c10::Device open_device(const std::string &wish, int local_rank);

// "cuda:0 (NVIDIA H100 80GB HBM3)". Throws ModelError.
std::string description(c10::Device gpu);

}    // namespace equipot
