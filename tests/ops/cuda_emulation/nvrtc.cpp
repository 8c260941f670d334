// Stands in for libnvrtc: "compiles" with g++ to a library that runs on the CPU. EMULATION_HEADER names emulation.h.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

namespace {

struct Program {
  std::string source, code, log;
};

// Which structure a kernel takes goes by its name; see equipot/ops/csrc/cuda/arguments.h.
const char *const runner = R"(
extern "C" __attribute__((visibility("default")))
void emulated_launch(const char *name, void *kernel, unsigned gx, unsigned gy, unsigned threads, void *given)
{
  const std::string n = name;
  if (n.rfind("gate", 0) == 0) emulation::run<GateArguments>(kernel, gx, gy, threads, given);
  else if (n.find("_edges") != n.npos || n == "find_centres" || n == "start_neighbours")
    emulation::run<GraphArguments>(kernel, gx, gy, threads, given);
  else emulation::run<Arguments>(kernel, gx, gy, threads, given);
}
)";

std::string read(const std::string &file)
{
  std::ifstream stream(file, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
}

}    // namespace

extern "C" {

int nvrtcVersion(int *major, int *minor) { return *major = 12, *minor = 0, 0; }
int nvrtcGetNumSupportedArchs(int *n) { return *n = 1, 0; }
int nvrtcGetSupportedArchs(int *archs) { return archs[0] = 80, 0; }
const char *nvrtcGetErrorString(int) { return "NVRTC_ERROR_COMPILATION"; }

int nvrtcCreateProgram(void **to, const char *source, const char *, int, const char *const *, const char *const *)
{
  *to = new Program{source, "", ""};
  return 0;
}

int nvrtcDestroyProgram(void **program) { return delete static_cast<Program *>(*program), 0; }

int nvrtcCompileProgram(void *handle, int, const char *const *)
{
  Program &program = *static_cast<Program *>(handle);
  char folder[] = "/tmp/equipot-emulation-XXXXXX";
  if (!mkdtemp(folder)) return 1;
  const std::string base = folder;
  std::ofstream(base + "/kernel.cpp") << "#include <string>\n" << program.source << runner;
  const char *options = std::getenv("EMULATION_OPTIONS");
  const std::string command = std::string("g++ -std=c++17 -shared -fPIC -Wall -Wextra -Wno-unknown-pragmas ") +
                              (options ? options : "-O1") + " -include " + std::getenv("EMULATION_HEADER") + " " + base +
                              "/kernel.cpp -o " + base + "/kernel.so 2> " + base + "/log";
  const int status = std::system(command.c_str());
  program.log = read(base + "/log");
  const std::string library = read(base + "/kernel.so");
  const std::string kept = std::getenv("EMULATION_KEEP") ? "true" : "rm -r " + base;
  if (std::system(kept.c_str()) != 0 || status != 0) return 6;
  std::string size = std::to_string(library.size());
  size.resize(32, ' ');
  program.code = size + library;
  return 0;
}

int nvrtcGetCUBINSize(void *p, size_t *n) { return *n = static_cast<Program *>(p)->code.size(), 0; }
int nvrtcGetCUBIN(void *p, char *to)
{
  const std::string &code = static_cast<Program *>(p)->code;
  return std::memcpy(to, code.data(), code.size()), 0;
}
int nvrtcGetPTXSize(void *p, size_t *n) { return nvrtcGetCUBINSize(p, n); }
int nvrtcGetPTX(void *p, char *to) { return nvrtcGetCUBIN(p, to); }
int nvrtcGetProgramLogSize(void *p, size_t *n) { return *n = static_cast<Program *>(p)->log.size() + 1, 0; }
int nvrtcGetProgramLog(void *p, char *to)
{
  const std::string &log = static_cast<Program *>(p)->log;
  return std::memcpy(to, log.c_str(), log.size() + 1), 0;
}

}    // extern "C"
