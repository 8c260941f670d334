// The C functions: check the arguments, choose the instruction set, keep exceptions inside.
#include "engine.h"

#include "kernels.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

namespace equipot {
namespace {

struct InstructionSet {
  const Kernels *of_float, *of_double;
};

InstructionSet best()
{
#if defined(__x86_64__)
  const char *name = std::getenv("EQUIPOT_ISA");
  const std::string wish = name ? name : "";
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx512 && wish != "avx2" && wish != "portable") return {&avx512_float, &avx512_double};
  if (avx2 && wish != "portable") return {&avx2_float, &avx2_double};
#endif
  return {&portable_float, &portable_double};
}

const Kernels &kernels(int64_t dtype)
{
  static const InstructionSet chosen = best();
  return dtype == EQUIPOT_FLOAT64 ? *chosen.of_double : *chosen.of_float;
}

template <class Body> int guarded(char *error, size_t error_size, Body &&body)
{
  std::string sentence;
  try {
    body();
    return 0;
  } catch (const std::bad_alloc &) {
    sentence = "out of memory";
  } catch (const std::exception &problem) {
    sentence = problem.what();
  } catch (...) {
    sentence = "unknown failure";
  }
  if (error && error_size > 0) std::snprintf(error, error_size, "%s", sentence.c_str());
  return -1;
}

void check(const equipot_linear &map)
{
  auto require = [](bool good, const char *sentence) {
    if (!good) throw std::invalid_argument(sentence);
  };
  require(map.dtype == EQUIPOT_FLOAT32 || map.dtype == EQUIPOT_FLOAT64, "dtype is neither 4 nor 8 bytes");
  require(map.threads >= 1 && map.n >= 0 && map.n_species >= 1, "a size is negative or zero");
  // So small that no product of two overflows.
  require(map.dim_in <= INT32_MAX && map.dim_out <= INT32_MAX && map.n_weights <= INT32_MAX, "there are too many columns");
  for (int64_t b = 0; b < map.n_blocks; ++b) {
    const int64_t *f = map.blocks + b * EQUIPOT_BLOCK_FIELDS;
    for (int k = 0; k < EQUIPOT_BLOCK_FIELDS; ++k)
      require(f[k] >= 0 && f[k] <= INT32_MAX, "a block holds a number that is negative or too large");
    require(f[1] > 0 && f[2] > 0 && f[4] > 0, "a block has no size");
    require(f[0] + f[1] * f[2] <= map.dim_in, "a block reads beyond the columns of the input");
    require(f[3] + f[1] * f[4] <= map.dim_out, "a block writes beyond the columns of the output");
    require(f[5] + f[2] * f[4] <= map.n_weights, "a block reads beyond the weights");
  }
  bool known = true;
  for (int64_t i = 0; map.species && i < map.n; ++i) known &= map.species[i] >= 0 && map.species[i] < map.n_species;
  require(known, "an atom has a species without weights");
}

void check(const equipot_gating &gate)
{
  auto require = [](bool good, const char *sentence) {
    if (!good) throw std::invalid_argument(sentence);
  };
  require(gate.dtype == EQUIPOT_FLOAT32 || gate.dtype == EQUIPOT_FLOAT64, "dtype is neither 4 nor 8 bytes");
  require(gate.threads >= 1 && gate.n >= 0 && gate.dim_in >= 0 && gate.dim_out >= 0, "a size is negative or zero");
  require(gate.dim_in <= INT32_MAX && gate.dim_out <= INT32_MAX, "there are too many columns");
  std::vector<int> read(gate.dim_in, 0), written(gate.dim_out, 0);
  for (int64_t b = 0; b < gate.n_blocks; ++b) {
    const int64_t *f = gate.blocks + b * EQUIPOT_GATE_FIELDS;
    for (int k = 0; k < EQUIPOT_GATE_FIELDS; ++k)
      require(f[k] >= (k == 4 ? -1 : 0) && f[k] <= INT32_MAX, "a block holds a number that is negative or too large");
    require(f[1] > 0 && f[2] > 0, "a block has no size");
    require(f[4] >= 0 || f[1] == 1, "a block of higher order has no gate");
    const int64_t size = f[1] * f[2];
    require(f[0] + size <= gate.dim_in && f[3] + size <= gate.dim_out && f[4] + f[2] <= gate.dim_in,
            "a block lies beyond the columns");
    for (int64_t k = 0; k < size; ++k) ++read[f[0] + k], ++written[f[3] + k];
    for (int64_t k = 0; k < f[2] && f[4] >= 0; ++k) ++read[f[4] + k];
  }
  for (int count : read) require(count == 1, "a column of the input belongs to no block or to several");
  for (int count : written) require(count == 1, "a column of the output belongs to no block or to several");
}

}    // namespace
}    // namespace equipot

extern "C" {

int equipot_forward(const equipot_convolution *given, void *out, char *error, size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    const equipot::Problem problem(*given);
    equipot::kernels(given->dtype).forward(problem, out);
  });
}

int equipot_backward(const equipot_convolution *given, const void *grad, void *dx, void *dedge_vectors, void *dtable,
                     char *error, size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    const equipot::Problem problem(*given);
    equipot::kernels(given->dtype).backward(problem, grad, dx, dedge_vectors, dtable);
  });
}

int equipot_second(const equipot_convolution *given, const void *grad, const void *ax, const void *av, void *dgrad,
                   void *dx, void *dedge_vectors, void *dtable, char *error, size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    const equipot::Problem problem(*given);
    equipot::kernels(given->dtype).second(problem, grad, ax, av, dgrad, dx, dedge_vectors, dtable);
  });
}

int equipot_linear_apply(const equipot_linear *map, const void *x, const void *weight, int transposed, void *out,
                         char *error, size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    equipot::check(*map);
    equipot::kernels(map->dtype).linear_apply(*map, x, weight, transposed != 0, out);
  });
}

int equipot_linear_weights(const equipot_linear *map, const void *x, const void *grad, void *dweight, char *error,
                           size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    equipot::check(*map);
    equipot::kernels(map->dtype).linear_weights(*map, x, grad, dweight);
  });
}

int equipot_gate(const equipot_gating *gate, const void *x, void *out, char *error, size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    equipot::check(*gate);
    equipot::kernels(gate->dtype).gate(*gate, x, out);
  });
}

int equipot_gate_backward(const equipot_gating *gate, const void *x, const void *grad, void *dx, char *error,
                          size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    equipot::check(*gate);
    equipot::kernels(gate->dtype).gate_backward(*gate, x, grad, dx);
  });
}

int equipot_gate_second(const equipot_gating *gate, const void *x, const void *grad, const void *a, void *dgrad,
                        void *dx, char *error, size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    equipot::check(*gate);
    equipot::kernels(gate->dtype).gate_second(*gate, x, grad, a, dgrad, dx);
  });
}

const char *equipot_isa(void) { return equipot::kernels(EQUIPOT_FLOAT32).isa; }

double equipot_peak_gfma(int64_t dtype, int64_t threads)
{
  const equipot::Kernels &used = equipot::kernels(dtype);
  const int64_t rounds = 1 << 20;
  const int n = static_cast<int>(threads < 1 ? 1 : threads);
  double best = 0.0;
  for (int attempt = 0; attempt < 6; ++attempt) {
    const auto start = std::chrono::steady_clock::now();
#pragma omp parallel num_threads(n) if (n > 1)
    used.burn(rounds);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const double rate = 1e-9 * static_cast<double>(n) * static_cast<double>(rounds) *
                        static_cast<double>(used.burnt_per_round) / seconds.count();
    best = rate > best ? rate : best;
  }
  return best;
}

int equipot_engine_version(void) { return EQUIPOT_ENGINE_VERSION; }

}    // extern "C"
