// equipot::convolve with its first derivatives.
#include "engine_operators.h"

#include "engine.h"
#include "place.h"

#include <array>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace equipot {
namespace {

enum { x, edge_vectors, table, inverse_cutoff, centre, neighbour, rowptr, transpose_rowptr, transpose_edges, paths,
       coupling, n_arguments };
constexpr int n_differentiable = 3;    // the first ones
const char *const names[] = {"x", "edge_vectors", "table", "inverse_cutoff", "centre", "neighbour", "rowptr",
                             "transpose_rowptr", "transpose_edges", "paths", "coupling"};
using Arguments = std::array<Tensor, n_arguments>;

// The arguments of a call, checked and in the layout of the kernels.
class Call {
 public:
  Call(const Arguments &given, int64_t doubled_knot) : kept(given)
  {
    const at::Device device = kept[x].device();
    for (int k : {paths, coupling}) kept[k] = host_copy(kept[k]);
    // A model cast to single precision has these in single precision too.
    if (kept[coupling].scalar_type() == at::kFloat) kept[coupling] = kept[coupling].to(at::kDouble);
    const at::ScalarType dtype = kept[x].scalar_type();
    TORCH_CHECK(dtype == at::kFloat || dtype == at::kDouble, "x is ", dtype, "; expected Float or Double");
    const std::array<int64_t, n_arguments> dimensions{2, 2, 3, 1, 1, 1, 1, 1, 1, 2, 1};
    for (int k = 0; k < n_arguments; ++k) {
      const at::ScalarType expected = k <= inverse_cutoff ? dtype : k == coupling ? at::kDouble : at::kLong;
      expect_tensor(kept[k], names[k], k < paths ? device : at::kCPU, expected, dimensions[k]);
      kept[k] = kept[k].contiguous();
    }
    const int64_t n_edges = kept[edge_vectors].size(0);
    TORCH_CHECK(kept[edge_vectors].size(1) == 3, "edge_vectors has shape ", kept[edge_vectors].sizes(),
                "; expected (n_edges, 3)");
    TORCH_CHECK(kept[paths].size(1) == EQUIPOT_PATH_FIELDS, "paths has shape ", kept[paths].sizes(),
                "; expected (n_paths, 8)");
    for (int k : {centre, neighbour, transpose_edges})
      TORCH_CHECK(kept[k].numel() == n_edges, names[k], " has ", kept[k].numel(), " entries; expected one for each of ",
                  n_edges, " edges");
    const int64_t n_cutoffs = kept[inverse_cutoff].numel();
    TORCH_CHECK(n_cutoffs == 1 || n_cutoffs == n_edges, "inverse_cutoff has ", n_cutoffs, " entries; expected 1 or ",
                n_edges);
    TORCH_CHECK(kept[rowptr].numel() > 0, "rowptr is empty; expected one more entry than there are centres");
    TORCH_CHECK(kept[transpose_rowptr].numel() == kept[x].size(0) + 1, "transpose_rowptr has ",
                kept[transpose_rowptr].numel(), " entries; expected ", kept[x].size(0) + 1);
    expect_small(kept[paths], names[paths]);

    problem.size = sizeof(problem);
    problem.dtype = dtype == at::kDouble ? EQUIPOT_FLOAT64 : EQUIPOT_FLOAT32;
    problem.threads = at::get_num_threads();
    problem.n_in = kept[x].size(0);
    problem.n_out = kept[rowptr].numel() - 1;
    problem.n_edges = n_edges;
    problem.centre = indices(centre);
    problem.neighbour = indices(neighbour);
    problem.rowptr = indices(rowptr);
    problem.transpose_rowptr = indices(transpose_rowptr);
    problem.transpose_edges = indices(transpose_edges);
    problem.n_paths = kept[paths].size(0);
    problem.n_coupling = kept[coupling].numel();
    problem.paths = indices(paths);
    problem.coupling = kept[coupling].const_data_ptr<double>();
    problem.dim_in = kept[x].size(1);
    for (int64_t p = 0; p < problem.n_paths; ++p) {
      const int64_t *fields = problem.paths + p * EQUIPOT_PATH_FIELDS;
      problem.dim_out += fields[3] * (2 * fields[2] + 1);
    }
    problem.n_knots = kept[table].size(0);
    problem.doubled_knot = doubled_knot;
    problem.order = kept[table].size(1);
    problem.n_weights = kept[table].size(2);
    problem.table = kept[table].const_data_ptr();
    problem.inverse_cutoff = kept[inverse_cutoff].const_data_ptr();
    problem.cutoff_per_edge = n_cutoffs != 1;
    problem.x = kept[x].const_data_ptr();
    problem.edge_vectors = kept[edge_vectors].const_data_ptr();
  }

  Tensor forward() const
  {
    Tensor out = at::empty({problem.n_out, problem.dim_out}, kept[x].options());
    EngineMessage message;
    void *to = out.mutable_data_ptr();
    message.check(on_gpu() ? equipot_cuda_forward(&problem, Place(kept[x]), to, message.text, sizeof(message.text))
                           : equipot_forward(&problem, to, message.text, sizeof(message.text)),
                  "convolution");
    return out;
  }

  // Gradients of the arguments from the gradient of the result; undefined tensors if not requested.
  std::array<Tensor, n_differentiable> backward(Tensor gradient, const std::array<bool, n_differentiable> &wanted) const
  {
    expect_tensor(gradient, "a gradient", kept[x].device(), kept[x].scalar_type(), 2);
    TORCH_CHECK(gradient.size(0) == problem.n_out && gradient.size(1) == problem.dim_out, "a gradient has shape ",
                gradient.sizes(), "; expected (", problem.n_out, ", ", problem.dim_out, ")");
    gradient = gradient.contiguous();
    std::array<Tensor, n_differentiable> found;
    std::array<void *, n_differentiable> memory{};
    for (int k = 0; k < n_differentiable; ++k) {
      if (!wanted[k]) continue;
      found[k] = at::empty_like(kept[k]);
      memory[k] = found[k].mutable_data_ptr();
    }
    EngineMessage message;
    const void *from = gradient.const_data_ptr();
    void *dx = memory[x], *dvectors = memory[edge_vectors], *dtable = memory[table];
    if (!on_gpu()) {
      message.check(equipot_backward(&problem, from, dx, dvectors, dtable, message.text, sizeof(message.text)),
                    "convolution");
      return found;
    }
    const int64_t scratch = equipot_cuda_workspace(&problem, Place(kept[x]), 1, wanted[x], wanted[edge_vectors],
                                                   wanted[table], message.text, sizeof(message.text));
    message.check(scratch, "convolution");
    message.check(equipot_cuda_backward(&problem, Place(kept[x], scratch), from, dx, dvectors, dtable, message.text,
                                        sizeof(message.text)),
                  "convolution");
    return found;
  }

 private:
  bool on_gpu() const { return kept[x].is_cuda(); }
  const int64_t *indices(int k) const { return kept[k].const_data_ptr<int64_t>(); }

  Arguments kept;
  equipot_convolution problem{};
};

struct Convolve : torch::autograd::Function<Convolve> {
  template <class... Tensors>
  static Tensor forward(AutogradContext *context, int64_t doubled_knot, const Tensors &...tensors)
  {
    context->save_for_backward({tensors...});
    context->saved_data["doubled_knot"] = doubled_knot;
    return Call({tensors...}, doubled_knot).forward();
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients)
  {
    refuse_second_derivatives();
    const variable_list saved = context->get_saved_variables();
    Arguments arguments;
    std::copy(saved.begin(), saved.end(), arguments.begin());
    // Whether this backward pass requests the gradient: forces need none of the radial table.
    std::array<bool, n_differentiable> wanted;
    for (int k = 0; k < n_differentiable; ++k) wanted[k] = context->needs_input_grad(k);
    const auto found = Call(arguments, context->saved_data["doubled_knot"].toInt()).backward(gradients[0], wanted);
    variable_list all{Tensor()};    // of the doubled knot
    all.insert(all.end(), found.begin(), found.end());
    all.resize(1 + n_arguments);
    return all;
  }
};

}    // namespace

Tensor convolve(const Tensor &x, const Tensor &edge_vectors, const Tensor &table, const Tensor &inverse_cutoff,
                const Tensor &centre, const Tensor &neighbour, const Tensor &rowptr, const Tensor &transpose_rowptr,
                const Tensor &transpose_edges, const Tensor &paths, const Tensor &coupling, int64_t doubled_knot)
{
  return Call({x, edge_vectors, table, inverse_cutoff, centre, neighbour, rowptr, transpose_rowptr, transpose_edges,
               paths, coupling},
              doubled_knot)
      .forward();
}

Tensor differentiable_convolve(const Tensor &x, const Tensor &edge_vectors, const Tensor &table,
                               const Tensor &inverse_cutoff, const Tensor &centre, const Tensor &neighbour,
                               const Tensor &rowptr, const Tensor &transpose_rowptr, const Tensor &transpose_edges,
                               const Tensor &paths, const Tensor &coupling, int64_t doubled_knot)
{
  return Convolve::apply(doubled_knot, x, edge_vectors, table, inverse_cutoff, centre, neighbour, rowptr, transpose_rowptr,
                         transpose_edges, paths, coupling);
}

}    // namespace equipot
