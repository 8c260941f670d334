// The operators of equipot in a model file, computed by the compiled kernels of equipot/ops/csrc.
#pragma once

#include <cstdint>
#include <tuple>

#include <ATen/core/Tensor.h>

namespace equipot {

// Registers equipot::convolve, linear, gate and topology with torch, unless Python has registered them in this process.
// Call it before a model is loaded; further calls do nothing.
void register_operators();

// Arguments as in equipot/ops/convolve.py. Throws c10::Error with one sentence when they do not fit.
at::Tensor convolve(const at::Tensor &x, const at::Tensor &edge_vectors, const at::Tensor &table,
                    const at::Tensor &inverse_cutoff, const at::Tensor &centre, const at::Tensor &neighbour,
                    const at::Tensor &rowptr, const at::Tensor &transpose_rowptr, const at::Tensor &transpose_edges,
                    const at::Tensor &paths, const at::Tensor &coupling, int64_t doubled_knot);
at::Tensor differentiable_convolve(const at::Tensor &x, const at::Tensor &edge_vectors, const at::Tensor &table,
                                   const at::Tensor &inverse_cutoff, const at::Tensor &centre,
                                   const at::Tensor &neighbour, const at::Tensor &rowptr,
                                   const at::Tensor &transpose_rowptr, const at::Tensor &transpose_edges,
                                   const at::Tensor &paths, const at::Tensor &coupling, int64_t doubled_knot);

// Arguments as in equipot/ops/linear.py.
at::Tensor linear(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &species, const at::Tensor &blocks,
                  int64_t dim_out);
at::Tensor differentiable_linear(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &species,
                                 const at::Tensor &blocks, int64_t dim_out);

// Arguments as in equipot/ops/gate.py.
at::Tensor gate(const at::Tensor &x, const at::Tensor &blocks, int64_t dim_out, double silu, double tanh);
at::Tensor differentiable_gate(const at::Tensor &x, const at::Tensor &blocks, int64_t dim_out, double silu,
                               double tanh);

// Arguments as in equipot/ops/topology.py.
std::tuple<at::Tensor, at::Tensor, at::Tensor> topology(const at::Tensor &edge_index, int64_t n_centres,
                                                        int64_t n_atoms);

// Checks that all operators share. Throws c10::Error.
void expect_tensor(const at::Tensor &tensor, const char *name, at::Device device, at::ScalarType dtype,
                   int64_t dimensions);
void expect_size(int64_t size, const char *name);
// No number may be below the smallest, or so large that a product of two overflows; the kernels check sums.
void expect_small(const at::Tensor &numbers, const char *name, int64_t least = 0);
void refuse_second_derivatives();

// Throws the message of the kernels when they return less than 0.
struct EngineMessage {
  char text[256] = "";
  void check(int64_t status, const char *what) const;
};

}    // namespace equipot
