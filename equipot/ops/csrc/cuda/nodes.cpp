#include "nodes.h"

#include "launch.h"

#include <stdexcept>

namespace equipot {
namespace cuda {

void gate(const equipot_gating &g, const equipot_cuda &on, const char *kernel, GateArguments arguments)
{
  if (g.n_blocks < 0 || g.n < 0) throw std::invalid_argument("the gate has a negative size");
  std::string key = "gate";
  const int64_t numbers[] = {g.dtype, g.dim_in, g.dim_out, g.n_blocks};
  key.append(reinterpret_cast<const char *>(numbers), sizeof(numbers));
  key.append(reinterpret_cast<const char *>(g.blocks), sizeof(int64_t) * EQUIPOT_GATE_FIELDS * g.n_blocks);
  const Current current(on);
  const Loaded &kernels = load(key, [&g] {
    check_gate(g);
    return g.n_blocks > 0 ? specialise_gate(g) : std::string();
  }, on.device);
  arguments.n = g.n;
  arguments.silu = g.silu, arguments.tanh = g.tanh;
  int64_t channels = 0;
  for (int64_t b = 0; b < g.n_blocks; ++b) channels += g.blocks[b * EQUIPOT_GATE_FIELDS + 2];
  constexpr int block = 256;    // as in gate.cu
  launch(kernels, kernel, (g.n * channels + block - 1) / block, 1, block, on.stream, &arguments);
}

}    // namespace cuda
}    // namespace equipot
