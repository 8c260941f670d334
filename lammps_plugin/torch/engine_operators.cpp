#include "engine_operators.h"

#include <memory>
#include <string>

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <torch/library.h>

namespace equipot {
namespace {

// The schemas of equipot/ops; a test compares them.
const char *const convolve_schema =
    "convolve(Tensor x, Tensor edge_vectors, Tensor table, Tensor inverse_cutoff, Tensor centre, Tensor neighbour, "
    "Tensor rowptr, Tensor transpose_rowptr, Tensor transpose_edges, Tensor paths, Tensor coupling, "
    "int doubled_knot=0) -> Tensor";
const char *const linear_schema =
    "linear(Tensor x, Tensor weight, Tensor species, Tensor blocks, int dim_out) -> Tensor";
const char *const gate_schema = "gate(Tensor x, Tensor blocks, int dim_out, float silu, float tanh) -> Tensor";
const char *const topology_schema =
    "topology(Tensor edge_index, int n_centres, int n_atoms) -> (Tensor, Tensor, Tensor)";

constexpr int64_t largest = int64_t(1) << 30;

bool known(const char *name) { return c10::Dispatcher::singleton().findSchema({name, ""}).has_value(); }

template <class Plain, class Differentiable>
void define(torch::Library &library, const char *name, const char *schema, Plain plain, Differentiable differentiable)
{
  library.def(schema);
  for (auto key : {c10::DispatchKey::CPU, c10::DispatchKey::CUDA}) library.impl(name, torch::dispatch(key, plain));
  for (auto key : {c10::DispatchKey::AutogradCPU, c10::DispatchKey::AutogradCUDA})
    library.impl(name, torch::dispatch(key, differentiable));
}

torch::Library registration()
{
  torch::Library library(torch::Library::FRAGMENT, "equipot", std::nullopt, __FILE__, __LINE__);
  if (!known("equipot::convolve"))
    define(library, "convolve", convolve_schema, TORCH_FN(convolve), TORCH_FN(differentiable_convolve));
  if (!known("equipot::linear"))
    define(library, "linear", linear_schema, TORCH_FN(linear), TORCH_FN(differentiable_linear));
  if (!known("equipot::gate")) define(library, "gate", gate_schema, TORCH_FN(gate), TORCH_FN(differentiable_gate));
  if (!known("equipot::topology")) {
    library.def(topology_schema);
    for (auto key : {c10::DispatchKey::CPU, c10::DispatchKey::CUDA})
      library.impl("topology", torch::dispatch(key, TORCH_FN(topology)));
  }
  return library;
}

}    // namespace

void register_operators()
{
  // TORCH_LIBRARY is no option: it registers when the file is loaded, even if the operators are registered already.
  static const torch::Library library = registration();
}

void expect_tensor(const at::Tensor &tensor, const char *name, at::Device device, at::ScalarType dtype,
                   int64_t dimensions)
{
  TORCH_CHECK(tensor.device() == device, name, " is on ", tensor.device(), "; expected ", device);
  TORCH_CHECK(tensor.scalar_type() == dtype, name, " is ", tensor.scalar_type(), "; expected ", dtype);
  TORCH_CHECK(tensor.dim() == dimensions, name, " has shape ", tensor.sizes(), "; expected ", dimensions,
              " dimensions");
}

void expect_size(int64_t size, const char *name)
{
  TORCH_CHECK(size >= 0 && size < largest, name, " is ", size, "; expected 0 or more, and less than 2^30");
}

void expect_small(const at::Tensor &numbers, const char *name, int64_t least)
{
  const int64_t *first = numbers.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < numbers.numel(); ++i)
    TORCH_CHECK(first[i] >= least && first[i] < largest, name, " hold the number ", first[i], "; expected ", least,
                " or more, and less than 2^30");
}

void refuse_second_derivatives()
{
  TORCH_CHECK(!at::GradMode::is_enabled(),
              "second derivatives are not available in LAMMPS; compute them with equipot in Python");
}

void EngineMessage::check(int64_t status, const char *what) const { TORCH_CHECK(status >= 0, what, ": ", text); }

}    // namespace equipot
