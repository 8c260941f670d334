#include "driver.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <vector>

namespace equipot {
namespace cuda {
namespace {

std::mutex lock;
std::string packages;    // Python's, where torch is

// With a slash at their ends.
std::vector<std::string> folders()
{
  const std::lock_guard<std::mutex> guard(lock);
  std::vector<std::string> found;
  const char *wish = std::getenv("EQUIPOT_NVRTC");
  if (wish && *wish) found.push_back(wish + std::string("/"));
  if (!packages.empty())
    // The CUDA wheels that torch needs, 13 and 12, and conda, which keeps it where the packages' folder is.
    for (const char *name : {"nvidia/cu13/lib/", "nvidia/cuda_nvrtc/lib/", "../../"})
      found.push_back(packages + "/" + name);
  found.push_back("");    // the system's
  return found;
}

void *open(const std::vector<std::string> &names, const char *what)
{
  for (const std::string &name : names)
    if (void *library = dlopen(name.c_str(), RTLD_NOW | RTLD_NOLOAD)) return library;
  for (const std::string &folder : folders())
    for (const std::string &name : names)
      if (void *library = dlopen((folder + name).c_str(), RTLD_NOW)) return library;
  throw std::runtime_error(std::string("no ") + what + " (" + names[0] + ") on this machine");
}

template <class F> void find(F &function, void *library, const char *name)
{
  function = reinterpret_cast<F>(dlsym(library, name));
  if (!function) throw std::runtime_error(std::string("the CUDA library on this machine has no ") + name);
}

Driver load_driver()
{
  void *library = open({"libcuda.so.1"}, "CUDA driver");
  Driver d{};
  find(d.init, library, "cuInit");
  find(d.error_string, library, "cuGetErrorString");
  find(d.device_get, library, "cuDeviceGet");
  find(d.device_attribute, library, "cuDeviceGetAttribute");
  find(d.device_name, library, "cuDeviceGetName");
  find(d.retain_context, library, "cuDevicePrimaryCtxRetain");
  find(d.push_context, library, "cuCtxPushCurrent_v2");
  find(d.pop_context, library, "cuCtxPopCurrent_v2");
  find(d.load_module, library, "cuModuleLoadData");
  find(d.get_function, library, "cuModuleGetFunction");
  find(d.launch, library, "cuLaunchKernel");
  find(d.fill, library, "cuMemsetD8Async");
  find(d.to_host, library, "cuMemcpyDtoHAsync_v2");
  find(d.wait, library, "cuStreamSynchronize");
  d.check(d.init(0), "starting CUDA");
  return d;
}

Compiler load_compiler()
{
  void *library = open({"libnvrtc.so.13", "libnvrtc.so.12"}, "CUDA compiler");
  Compiler c{};
  find(c.version, library, "nvrtcVersion");
  find(c.n_architectures, library, "nvrtcGetNumSupportedArchs");
  find(c.architectures, library, "nvrtcGetSupportedArchs");
  find(c.create, library, "nvrtcCreateProgram");
  find(c.compile, library, "nvrtcCompileProgram");
  find(c.cubin_size, library, "nvrtcGetCUBINSize");
  find(c.cubin, library, "nvrtcGetCUBIN");
  find(c.ptx_size, library, "nvrtcGetPTXSize");
  find(c.ptx, library, "nvrtcGetPTX");
  find(c.log_size, library, "nvrtcGetProgramLogSize");
  find(c.log, library, "nvrtcGetProgramLog");
  find(c.destroy, library, "nvrtcDestroyProgram");
  find(c.error_string, library, "nvrtcGetErrorString");
  return c;
}

}    // namespace

void Driver::check(int status, const char *what) const
{
  if (status == 0) return;
  const char *sentence = nullptr;
  if (error_string(status, &sentence) != 0 || !sentence) sentence = "unknown error";
  throw std::runtime_error(std::string(what) + " failed: " + sentence + " (CUDA error " + std::to_string(status) + ")");
}

void search(const std::string &folder)
{
  const std::lock_guard<std::mutex> guard(lock);
  packages = folder;
}

// An exception leaves the static unset: the next call tries again.
const Driver &driver()
{
  static const Driver loaded = load_driver();
  return loaded;
}

const Compiler &compiler()
{
  static const Compiler loaded = load_compiler();
  return loaded;
}

}    // namespace cuda
}    // namespace equipot
