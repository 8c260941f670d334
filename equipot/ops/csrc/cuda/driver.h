// The few functions of CUDA's driver and of NVRTC that are used, found in their libraries when the program runs: so the
// same binary serves machines with a GPU and machines without anything of CUDA.
#pragma once

#include <cstddef>
#include <string>

namespace equipot {
namespace cuda {

using Context = void *;
using Module = void *;
using Function = void *;
using Stream = void *;
using DevicePointer = unsigned long long;
using Program = void *;

enum { compute_major = 75, compute_minor = 76 };    // CUdevice_attribute

struct Driver {
  int (*init)(unsigned);
  int (*error_string)(int, const char **);
  int (*device_get)(int *, int);
  int (*device_attribute)(int *, int, int);
  int (*device_name)(char *, int, int);
  int (*retain_context)(Context *, int);
  int (*push_context)(Context);
  int (*pop_context)(Context *);
  int (*load_module)(Module *, const void *);
  int (*get_function)(Function *, Module, const char *);
  int (*launch)(Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Stream, void **, void **);
  int (*fill)(DevicePointer, unsigned char, std::size_t, Stream);
  int (*to_host)(void *, DevicePointer, std::size_t, Stream);
  int (*wait)(Stream);

  // Throws std::runtime_error with what CUDA says about a status that is not 0.
  void check(int status, const char *what) const;
};

struct Compiler {
  int (*version)(int *, int *);
  int (*n_architectures)(int *);
  int (*architectures)(int *);
  int (*create)(Program *, const char *, const char *, int, const char *const *, const char *const *);
  int (*compile)(Program, int, const char *const *);
  int (*cubin_size)(Program, std::size_t *);
  int (*cubin)(Program, char *);
  int (*ptx_size)(Program, std::size_t *);
  int (*ptx)(Program, char *);
  int (*log_size)(Program, std::size_t *);
  int (*log)(Program, char *);
  int (*destroy)(Program *);
  const char *(*error_string)(int);
};

// The folder of the Python packages among which torch is: both libraries are looked for first in the process, then in
// the folder that EQUIPOT_NVRTC names, then where wheels and conda put them beside torch, then in the system's folders.
// Must be said before the first use.
void search(const std::string &packages);

// Loaded on the first call, and initialised. Throw std::runtime_error where there is none, in a sentence.
const Driver &driver();
const Compiler &compiler();

}    // namespace cuda
}    // namespace equipot
