// The C functions: check the arguments, choose the instruction set, keep exceptions inside.
#include "engine.h"

#include "guarded.h"
#include "kernels.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__linux__)
#include <malloc.h>
#include <sys/mman.h>
#endif

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

// Memory that is about to be filled for the first time: in pages of 2 MB, where the system has them on request, the
// kernel is asked for a page 512 times less often.
void fill_soon([[maybe_unused]] void *memory, [[maybe_unused]] int64_t numbers, [[maybe_unused]] int64_t dtype)
{
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr std::uintptr_t worthwhile = 4 << 20, page = 4096;
  const std::uintptr_t bytes = static_cast<std::uintptr_t>(numbers * dtype);
  if (!memory || numbers < 0 || bytes < worthwhile) return;
  const std::uintptr_t first = (reinterpret_cast<std::uintptr_t>(memory) + page - 1) / page * page;
  const std::uintptr_t last = (reinterpret_cast<std::uintptr_t>(memory) + bytes) / page * page;
  madvise(reinterpret_cast<void *>(first), last - first, MADV_HUGEPAGE);    // advice: a refusal changes nothing
#endif
}

}    // namespace

const Kernels &kernels(int64_t dtype)
{
  static const InstructionSet chosen = best();
  return dtype == EQUIPOT_FLOAT64 ? *chosen.of_double : *chosen.of_float;
}

void check_linear(const equipot_linear &map)
{
  check_size(map, "equipot_linear");
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

}    // namespace equipot

extern "C" {

int equipot_forward(const equipot_convolution *given, void *out, char *error, size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    const equipot::Problem problem(*given);
    equipot::fill_soon(out, given->n_out * given->dim_out, given->dtype);
    equipot::kernels(given->dtype).forward(problem, out);
  });
}

int equipot_backward(const equipot_convolution *given, const void *grad, void *dx, void *dedge_vectors, void *dtable,
                     char *error, size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    const equipot::Problem problem(*given);
    equipot::fill_soon(dx, given->n_in * given->dim_in, given->dtype);
    equipot::fill_soon(dedge_vectors, 3 * given->n_edges, given->dtype);
    equipot::kernels(given->dtype).backward(problem, grad, dx, dedge_vectors, dtable);
  });
}

int equipot_second(const equipot_convolution *given, const void *grad, const void *ax, const void *av, void *dgrad,
                   void *dx, void *dedge_vectors, void *dtable, char *error, size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    const equipot::Problem problem(*given);
    equipot::fill_soon(dgrad, given->n_out * given->dim_out, given->dtype);
    equipot::fill_soon(dx, given->n_in * given->dim_in, given->dtype);
    equipot::kernels(given->dtype).second(problem, grad, ax, av, dgrad, dx, dedge_vectors, dtable);
  });
}

int equipot_linear_apply(const equipot_linear *map, const void *x, const void *weight, int transposed, void *out,
                         char *error, size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    equipot::check_linear(*map);
    equipot::fill_soon(out, map->n * (transposed ? map->dim_in : map->dim_out), map->dtype);
    equipot::kernels(map->dtype).linear_apply(*map, {x, weight, transposed != 0, out});
  });
}

int equipot_linear_weights(const equipot_linear *map, const void *x, const void *grad, void *dweight, char *error,
                           size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    equipot::check_linear(*map);
    equipot::kernels(map->dtype).linear_weights(*map, x, grad, dweight);
  });
}

int equipot_gate(const equipot_gating *gate, const void *x, void *out, char *error, size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    equipot::check_gate(*gate);
    equipot::fill_soon(out, gate->n * gate->dim_out, gate->dtype);
    equipot::kernels(gate->dtype).gate(*gate, x, out);
  });
}

int equipot_gate_backward(const equipot_gating *gate, const void *x, const void *grad, void *dx, char *error,
                          size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    equipot::check_gate(*gate);
    equipot::fill_soon(dx, gate->n * gate->dim_in, gate->dtype);
    equipot::kernels(gate->dtype).gate_backward(*gate, x, grad, dx);
  });
}

int equipot_gate_second(const equipot_gating *gate, const void *x, const void *grad, const void *a, void *dgrad,
                        void *dx, char *error, size_t error_size)
{
  return equipot::guarded(error, error_size, [&] {
    equipot::check_gate(*gate);
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

void equipot_keep_memory(void)
{
#if defined(__GLIBC__)
  mallopt(M_MMAP_MAX, 0);           // large blocks come from the heap too, instead of pages of their own
  mallopt(M_TRIM_THRESHOLD, -1);    // and the heap's end is never given back
#endif
}

int equipot_engine_version(void) { return EQUIPOT_ENGINE_VERSION; }

int equipot_max_threads(void)
{
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

}    // extern "C"
