// Stands in for libcuda: two GPUs, whose memory is the host's and whose kernels nvrtc.cpp made. Streams are ignored.
// With EMULATION_DRIVER=old it takes no kernels.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

using Launch = void (*)(const char *, void *, unsigned, unsigned, unsigned, void *);

struct Kernel {
  std::string name;
  void *function;
  Launch launch;
};

}    // namespace

extern "C" {

int cuInit(unsigned) { return 0; }
int cuGetErrorString(int, const char **text) { return *text = "no such thing in the emulated GPU", 0; }
int cuDeviceGet(int *device, int number) { return *device = number, number < 2 ? 0 : 101; }
int cuDeviceGetAttribute(int *value, int attribute, int) { return *value = attribute == 75 ? 8 : 0, 0; }
int cuDeviceGetName(char *name, int size, int device)
{
  return std::snprintf(name, size, "emulated GPU %d", device), 0;
}
int cuDevicePrimaryCtxRetain(void **context, int) { return *context = reinterpret_cast<void *>(1), 0; }
int cuCtxPushCurrent_v2(void *) { return 0; }
int cuCtxPopCurrent_v2(void **) { return 0; }

int cuModuleLoadData(void **module, const void *image)
{
  const char *start = static_cast<const char *>(image), *age = std::getenv("EMULATION_DRIVER");
  if (age && std::strcmp(age, "old") == 0) return 222;
  const size_t size = std::strtoull(start, nullptr, 10);
  const int file = memfd_create("kernel", 0);
  if (size == 0 || write(file, start + 32, size) != static_cast<ssize_t>(size)) return 200;
  *module = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!*module) std::fprintf(stderr, "%s\n", dlerror());
  return *module ? 0 : 200;
}

int cuModuleGetFunction(void **function, void *module, const char *name)
{
  void *found = dlsym(module, name);
  if (!found) return 500;
  *function = new Kernel{name, found, reinterpret_cast<Launch>(dlsym(module, "emulated_launch"))};
  return 0;
}

int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned threads, unsigned by, unsigned bz,
                   unsigned shared, void *, void **parameters, void **)
{
  const Kernel &kernel = *static_cast<Kernel *>(function);
  if (gx == 0 || gy == 0 || gz != 1 || by != 1 || bz != 1 || threads == 0 || threads > 1024 || shared != 0) return 1;
  kernel.launch(kernel.name.c_str(), kernel.function, gx, gy, threads, parameters[0]);
  return 0;
}

int cuMemsetD8Async(unsigned long long to, unsigned char value, size_t n, void *)
{
  return std::memset(reinterpret_cast<void *>(to), value, n), 0;
}
int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t n, void *)
{
  return std::memcpy(to, reinterpret_cast<const void *>(from), n), 0;
}
int cuStreamSynchronize(void *) { return 0; }

}    // extern "C"
