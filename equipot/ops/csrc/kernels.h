// What each instruction set provides: the whole computation for one type of number.
#pragma once

#include "problem.h"

#include "packed_weights.h"
#include "species_rows.h"

namespace equipot {

struct LinearCall {
  const void *x, *weight;
  bool transposed;
  void *out;
  bool adds = false;                    // to what `out` holds
  const SpeciesRows *rows = nullptr;    // of the map's species; null: they are sorted here
  PackedWeights *packed = nullptr;      // null: weights are packed in this call
};

struct Kernels {
  const char *isa;
  void (*forward)(const Problem &, void *out);
  void (*backward)(const Problem &, const void *grad, void *dx, void *dvectors, void *dtable);
  void (*second)(const Problem &, const void *grad, const void *ax, const void *av, void *dgrad, void *dx,
                 void *dvectors, void *dtable);
  void (*linear_apply)(const equipot_linear &, const LinearCall &);
  void (*linear_weights)(const equipot_linear &, const void *x, const void *grad, void *dweight);
  void (*gate)(const equipot_gating &, const void *x, void *out);
  void (*gate_backward)(const equipot_gating &, const void *x, const void *grad, void *dx);
  void (*gate_second)(const equipot_gating &, const void *x, const void *grad, const void *a, void *dgrad, void *dx);
  void (*burn)(int64_t rounds);    // multiply-adds of one thread, for measuring the peak
  int64_t burnt_per_round;
};

// One object file for each instruction set and type defines one of these.
extern const Kernels portable_float, portable_double;
#if defined(__x86_64__)
extern const Kernels avx2_float, avx2_double, avx512_float, avx512_double;
#endif

// Those of the instruction set in use; dtype: EQUIPOT_FLOAT32 or EQUIPOT_FLOAT64.
const Kernels &kernels(int64_t dtype);

// Sizes, blocks and species. Throws std::invalid_argument.
void check_linear(const equipot_linear &map);

}    // namespace equipot
