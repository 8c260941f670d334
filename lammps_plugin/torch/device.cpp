#include "device.h"

#include "cuda/engine_cuda.h"
#include "engine_operators.h"
#include "potential.h"
#include "sentence.h"

#include <cstdlib>

#include <dlfcn.h>

#include <ATen/Context.h>
#include <torch/cuda.h>

namespace equipot {
namespace {

std::string torch_library()
{
  Dl_info found;
  return dladdr(reinterpret_cast<void *>(&torch::cuda::device_count), &found) && found.dli_fname ? found.dli_fname : "";
}

std::string parent(const std::string &path)
{
  const size_t end = path.find_last_of('/');
  return end == std::string::npos ? "." : path.substr(0, end);
}

// torch looks for its CUDA library once, at its first use. This plugin is linked without it, so it must be loaded before.
void load_torch_for_cuda()
{
  if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL))
    throw ModelError("the torch in " + parent(torch_library()) +
                     " was built without CUDA; install one that was built with it, or use device cpu");
}

// The number N of cuda:N; -1 for cuda. Throws ModelError for anything else.
int wished_number(const std::string &wish)
{
  if (wish == "cuda") return -1;
  const std::string digits = wish.rfind("cuda:", 0) == 0 ? wish.substr(5) : "";
  if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != std::string::npos)
    throw ModelError("it is '" + wish + "', expected cpu, cuda or cuda:N with the number of a GPU");
  return std::atoi(digits.c_str());
}

}    // namespace

c10::Device torch_device(const std::string &wish, int local_rank)
{
  static bool first = true, began_with_cpu = false;
  if (first) began_with_cpu = wish == "cpu";
  first = false;
  if (wish == "cpu") return c10::kCPU;
  const int wished = wished_number(wish);
  load_torch_for_cuda();
  const int n_gpus = torch::cuda::device_count();
  if (n_gpus < 1 && began_with_cpu)
    throw ModelError("torch sees no GPU, perhaps because it looked when the first pair_style equipot of this process was "
                     "without one; give device cuda to the first");
  if (n_gpus < 1) throw ModelError("torch sees no GPU on this machine; use device cpu");
  if (wished >= n_gpus)
    throw ModelError("it is " + wish + ", but torch sees " + std::to_string(n_gpus) +
                     (n_gpus == 1 ? " GPU" : " GPUs") + " on this machine, counted from 0");
  const int number = wished >= 0 ? wished : local_rank % n_gpus;
  try {
    at::globalContext().lazyInitDevice(c10::kCUDA);
  } catch (const std::exception &failure) {
    throw ModelError("torch cannot start CUDA (" + sentence(failure) + ")");
  }
  EngineMessage message;
  const std::string packages = parent(parent(parent(torch_library())));
  if (equipot_cuda_open(packages.c_str(), message.text, sizeof(message.text)) < 0 ||
      equipot_cuda_probe(number, message.text, sizeof(message.text)) < 0)
    throw ModelError(std::string("the kernels cannot run there: ") + message.text +
                     "; NVRTC comes with torch's builds for CUDA and with the Python package nvidia-cuda-nvrtc, and "
                     "EQUIPOT_NVRTC can name its folder");
  return {c10::kCUDA, static_cast<c10::DeviceIndex>(number)};
}

std::string description(const std::string &gpu)
{
  char name[96] = "";
  EngineMessage message;
  if (equipot_cuda_name(c10::Device(gpu).index(), name, sizeof(name), message.text, sizeof(message.text)) < 0)
    throw ModelError(message.text);
  return gpu + " (" + name + ")";
}

}    // namespace equipot
