#include "compile.h"

#include "cache.h"
#include "driver.h"

#include <stdexcept>
#include <vector>

namespace equipot {
namespace cuda {
namespace {

struct Target {
  bool binary;    // else PTX, which the driver compiles further
  std::string option;
};

// The GPU's own architecture, or the newest before it that this NVRTC knows.
Target target(const Compiler &nvrtc, int architecture)
{
  int n = 0;
  if (nvrtc.n_architectures(&n) != 0 || n < 1) throw std::runtime_error("NVRTC does not say what it compiles for");
  std::vector<int> known(n);
  nvrtc.architectures(known.data());
  int best = 0;
  for (int k : known)
    if (k <= architecture && k > best) best = k;
  if (best == 0)
    throw std::runtime_error("a GPU of compute capability " + std::to_string(architecture / 10) + "." +
                             std::to_string(architecture % 10) + " is too old for the NVRTC on this machine, which begins at " +
                             std::to_string(known[0] / 10) + "." + std::to_string(known[0] % 10));
  const bool binary = best == architecture;
  return {binary, std::string("--gpu-architecture=") + (binary ? "sm_" : "compute_") + std::to_string(best)};
}

std::vector<std::string> options(const Target &to)
{
  return {to.option, "--std=c++17", "-default-device", "--fmad=true"};
}

struct Handle {
  const Compiler &nvrtc;
  Program program = nullptr;

  ~Handle() { if (program) nvrtc.destroy(&program); }
};

// Two calls of NVRTC: how long the text is, and the text.
std::string fetch(Program program, int (*size)(Program, std::size_t *), int (*content)(Program, char *))
{
  std::size_t n = 0;
  if (size(program, &n) != 0) return "";
  std::string text(n, '\0');
  if (n > 0 && content(program, &text[0]) != 0) return "";
  return text;
}

}    // namespace

std::string compile_anew(const std::string &source, int architecture, std::string *log)
{
  const Compiler &nvrtc = compiler();
  const Target to = target(nvrtc, architecture);
  std::vector<std::string> wanted = options(to);
  if (log) wanted.push_back("--ptxas-options=-v");
  std::vector<const char *> pointers;
  for (const std::string &option : wanted) pointers.push_back(option.c_str());
  Handle handle{nvrtc};
  int status = nvrtc.create(&handle.program, source.c_str(), "equipot.cu", 0, nullptr, nullptr);
  if (status == 0) status = nvrtc.compile(handle.program, static_cast<int>(pointers.size()), pointers.data());
  const std::string messages = handle.program ? fetch(handle.program, nvrtc.log_size, nvrtc.log) : "";
  if (log) *log = messages.c_str();    // up to the zero at its end
  if (status != 0)
    throw std::runtime_error(std::string("NVRTC cannot compile a kernel: ") + nvrtc.error_string(status) + ": " +
                             messages.substr(0, messages.find('\n')));
  const std::string code = to.binary ? fetch(handle.program, nvrtc.cubin_size, nvrtc.cubin)
                                     : fetch(handle.program, nvrtc.ptx_size, nvrtc.ptx);
  if (code.empty()) throw std::runtime_error("NVRTC gave no code for a kernel");
  return code;
}

std::string compile(const std::string &source, int architecture)
{
  const Compiler &nvrtc = compiler();
  int major = 0, minor = 0;
  nvrtc.version(&major, &minor);
  std::string key = "NVRTC " + std::to_string(major) + "." + std::to_string(minor);
  for (const std::string &option : options(target(nvrtc, architecture))) key += " " + option;
  key += "\n" + source;
  std::string code = read_cache(key);
  if (code.empty()) {
    code = compile_anew(source, architecture, nullptr);
    write_cache(key, code);
  }
  return code;
}

}    // namespace cuda
}    // namespace equipot
