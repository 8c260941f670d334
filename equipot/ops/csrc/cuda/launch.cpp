#include "launch.h"

#include "../guarded.h"
#include "compile.h"

#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <unordered_map>

namespace equipot {
namespace cuda {
namespace {

struct Device {
  Context context = nullptr;
  int architecture = 0;
};

std::mutex lock;

// The context and the architecture of a GPU; retained once, for as long as the process lives.
Device device(int64_t number)
{
  static std::map<int64_t, Device> known;
  const std::lock_guard<std::mutex> guard(lock);
  Device &found = known[number];
  if (found.context) return found;
  const Driver &d = driver();
  int handle = 0, major = 0, minor = 0;
  d.check(d.device_get(&handle, static_cast<int>(number)), "finding the GPU");
  d.check(d.device_attribute(&major, compute_major, handle), "asking the GPU");
  d.check(d.device_attribute(&minor, compute_minor, handle), "asking the GPU");
  d.check(d.retain_context(&found.context, handle), "opening the GPU");
  found.architecture = 10 * major + minor;
  return found;
}

template <class T> void append(std::string &key, const T *numbers, int64_t n)
{
  key.append(reinterpret_cast<const char *>(numbers), static_cast<std::size_t>(n) * sizeof(T));
}

// All that the text of a kernel depends on.
std::string key_of(const equipot_convolution &p, const Kernel &kernel)
{
  if (p.n_paths < 0 || p.n_coupling < 0) throw std::invalid_argument("there are less than no paths");
  std::string key = "convolution";
  const int64_t numbers[] = {static_cast<int64_t>(kernel.sum), kernel.second, kernel.want_x, kernel.want_v, p.dtype,
                             p.n_paths, p.n_coupling, p.dim_in, p.dim_out, p.order, p.n_weights};
  append(key, numbers, sizeof(numbers) / sizeof(numbers[0]));
  append(key, p.paths, p.n_paths * EQUIPOT_PATH_FIELDS);
  append(key, p.coupling, p.n_coupling);
  return key;
}

std::unordered_map<std::string, std::unique_ptr<Loaded>> loaded;

const Loaded *seen(const std::string &key)
{
  const std::lock_guard<std::mutex> guard(lock);
  const auto place = loaded.find(key);
  return place == loaded.end() ? nullptr : place->second.get();
}

// Two threads may compile the same; the first one's is kept.
const Loaded &keep(const std::string &key, Layout layout, int64_t number)
{
  auto fresh = std::make_unique<Loaded>(Loaded{std::move(layout), nullptr});
  if (!fresh->layout.source.empty()) {
    const std::string code = compile(fresh->layout.source, device(number).architecture);
    const Driver &d = driver();
    d.check(d.load_module(&fresh->module, code.data()), "loading a kernel");
    fresh->layout.source.clear();
  }
  const std::lock_guard<std::mutex> guard(lock);
  return *loaded.emplace(key, std::move(fresh)).first->second;
}

}    // namespace

Current::Current(int64_t number)
{
  const Driver &d = driver();
  d.check(d.push_context(device(number).context), "opening the GPU");
}

Current::Current(const equipot_cuda &on) : Current((check_size(on, "equipot_cuda"), on.device)) {}

Current::~Current()
{
  Context ours = nullptr;
  driver().pop_context(&ours);
}

const Loaded &load(const equipot_convolution &problem, const Kernel &kernel, int64_t number)
{
  const std::string key = std::to_string(number) + key_of(problem, kernel);
  const Loaded *found = seen(key);
  return found ? *found : keep(key, specialise(Problem(problem, false), kernel), number);
}

const Loaded &load(const std::string &name, const std::function<std::string()> &make, int64_t number)
{
  const std::string key = std::to_string(number) + name;
  const Loaded *found = seen(key);
  return found ? *found : keep(key, Layout{1, 1, true, make()}, number);
}

void launch(const Loaded &kernels, const char *name, int64_t blocks, int64_t blocks_y, int threads, void *stream,
            const void *arguments)
{
  if (!kernels.module || blocks == 0 || blocks_y == 0) return;
  if (blocks > INT32_MAX || blocks_y > 65535) throw std::invalid_argument("the graph is too large for a GPU");
  const Driver &d = driver();
  Function function = nullptr;
  d.check(d.get_function(&function, kernels.module, name), "finding a kernel");
  void *parameters[] = {const_cast<void *>(arguments)};
  d.check(d.launch(function, static_cast<unsigned>(blocks), static_cast<unsigned>(blocks_y), 1,
                   static_cast<unsigned>(threads), 1, 1, 0, stream, parameters, nullptr),
          "starting a kernel");
}

}    // namespace cuda
}    // namespace equipot
