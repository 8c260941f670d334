// equipot::linear with its first derivatives.
#include "engine_operators.h"

#include "engine.h"
#include "place.h"

#include <algorithm>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace equipot {
namespace {

// The map between n rows of dim_in and dim_out columns, checked and in the layout of the kernels.
class Map {
 public:
  Map(const Tensor &of_weights, const Tensor &of_species, const Tensor &of_blocks, int64_t n, int64_t dim_in,
      int64_t dim_out) :
      weight(of_weights), species(of_species), blocks(of_blocks)
  {
    const at::ScalarType dtype = weight.scalar_type();
    TORCH_CHECK(dtype == at::kFloat || dtype == at::kDouble, "weight is ", dtype, "; expected Float or Double");
    expect_tensor(weight, "weight", at::kCPU, dtype, 2);
    expect_tensor(blocks, "blocks", at::kCPU, at::kLong, 2);
    TORCH_CHECK(blocks.size(1) == EQUIPOT_BLOCK_FIELDS, "blocks has shape ", blocks.sizes(), "; expected (n_blocks, 6)");
    expect_size(dim_out, "dim_out");
    const bool by_species = weight.size(0) > 1;
    if (by_species) {
      expect_tensor(species, "species", at::kCPU, at::kLong, 1);
      TORCH_CHECK(species.size(0) == n, "species has ", species.size(0), " entries; expected one for each of ", n,
                  " atoms");
      species = species.contiguous();
    }
    weight = weight.contiguous();
    blocks = blocks.contiguous();
    expect_small(blocks, "blocks");
    map.size = sizeof(map);
    map.dtype = dtype == at::kDouble ? EQUIPOT_FLOAT64 : EQUIPOT_FLOAT32;
    map.threads = at::get_num_threads();
    map.n = n;
    map.dim_in = dim_in;
    map.dim_out = dim_out;
    map.n_species = weight.size(0);
    map.n_weights = weight.size(1);
    map.species = by_species ? species.const_data_ptr<int64_t>() : nullptr;
    map.n_blocks = blocks.size(0);
    map.blocks = blocks.const_data_ptr<int64_t>();
  }

  Tensor apply(const Tensor &given, bool transposed) const
  {
    const Tensor rows = expect_rows(given, transposed ? map.dim_out : map.dim_in);
    Tensor out = at::empty({map.n, transposed ? map.dim_in : map.dim_out}, rows.options());
    EngineMessage message;
    message.check(equipot_linear_apply(&map, rows.const_data_ptr(), weight.const_data_ptr(), transposed,
                                       out.mutable_data_ptr(), message.text, sizeof(message.text)),
                  "linear map");
    return out;
  }

  Tensor weight_gradient(const Tensor &given, const Tensor &given_gradient) const
  {
    const Tensor rows = expect_rows(given, map.dim_in), gradient = expect_rows(given_gradient, map.dim_out);
    Tensor out = at::empty_like(weight);
    EngineMessage message;
    message.check(equipot_linear_weights(&map, rows.const_data_ptr(), gradient.const_data_ptr(),
                                         out.mutable_data_ptr(), message.text, sizeof(message.text)),
                  "linear map");
    return out;
  }

 private:
  Tensor expect_rows(const Tensor &given, int64_t columns) const
  {
    expect_tensor(given, "x or a gradient", at::kCPU, weight.scalar_type(), 2);
    TORCH_CHECK(given.size(0) == map.n && given.size(1) == columns, "x or a gradient has shape ", given.sizes(),
                "; expected (", map.n, ", ", columns, ")");
    return given.contiguous();
  }

  Tensor weight, species, blocks;
  equipot_linear map{};
};

int64_t size_of(const Tensor &x, int64_t dimension)
{
  TORCH_CHECK(x.dim() == 2, "x has shape ", x.sizes(), "; expected (n_atoms, columns)");
  return x.size(dimension);
}

struct Linear : torch::autograd::Function<Linear> {
  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &weight, const Tensor &species,
                        const Tensor &blocks, int64_t dim_out)
  {
    // Only the gradient of the weights needs x, so inference does not store it.
    context->save_for_backward({weight.requires_grad() ? x : Tensor(), weight, species, blocks});
    const Tensor out = linear(x, weight, species, blocks, dim_out);
    context->saved_data["dim_in"] = x.size(1);
    return out;
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients)
  {
    refuse_second_derivatives();
    const variable_list saved = context->get_saved_variables();
    const Tensor &gradient = gradients[0];
    const Map map(saved[1], saved[2], saved[3], gradient.size(0), context->saved_data["dim_in"].toInt(),
                  gradient.size(1));
    variable_list found(5);
    if (context->needs_input_grad(0)) found[0] = map.apply(gradient, true);
    if (context->needs_input_grad(1)) found[1] = map.weight_gradient(saved[0], gradient);
    return found;
  }
};

using Rows = std::vector<const int64_t *>;

Tensor of_one_species(const Tensor &x, const Tensor &weight, const Rows &rows, int64_t dim_out)
{
  const int64_t n = x.size(0);
  std::vector<Tensor> parts;
  int64_t end = 0;
  auto fill = [&](int64_t start) { parts.push_back(at::zeros({n, start - end}, x.options())); };
  for (const int64_t *row : rows) {
    const int64_t dim = row[1], mul_in = row[2], mul_out = row[4];
    fill(row[3]);
    const Tensor block = x.narrow(1, row[0], dim * mul_in).reshape({n, dim, mul_in});
    const Tensor matrix = weight.narrow(0, row[5], mul_in * mul_out).view({mul_in, mul_out});
    parts.push_back(block.matmul(matrix).reshape({n, dim * mul_out}));
    end = row[3] + dim * mul_out;
  }
  fill(dim_out);
  return at::cat(parts, 1);
}

// On a GPU: torch's matrix products, which torch differentiates, like by_reference in equipot/ops/linear.py.
Tensor by_torch(const Tensor &x, const Tensor &weight, const Tensor &species, const Tensor &given_blocks,
                int64_t dim_out)
{
  const at::ScalarType dtype = weight.scalar_type();
  const Tensor blocks = host_copy(given_blocks).contiguous();
  expect_tensor(x, "x", x.device(), dtype, 2);
  expect_tensor(weight, "weight", x.device(), dtype, 2);
  expect_tensor(blocks, "blocks", at::kCPU, at::kLong, 2);
  TORCH_CHECK(blocks.size(1) == EQUIPOT_BLOCK_FIELDS, "blocks has shape ", blocks.sizes(), "; expected (n_blocks, 6)");
  expect_size(dim_out, "dim_out");
  expect_small(blocks, "blocks");
  Rows rows;
  for (int64_t b = 0; b < blocks.size(0); ++b)
    rows.push_back(blocks.const_data_ptr<int64_t>() + b * EQUIPOT_BLOCK_FIELDS);
  std::sort(rows.begin(), rows.end(), [](const int64_t *a, const int64_t *b) { return a[3] < b[3]; });

  const int64_t n = x.size(0), n_species = weight.size(0);
  if (n_species == 1) return of_one_species(x, weight[0], rows, dim_out);
  // Atoms are sorted by species, so that only the numbers of atoms have to be copied from the GPU.
  const Tensor order = species.argsort(true, 0, false);
  const Tensor counts = species.bincount({}, n_species).cpu();
  const Tensor sorted = x.index_select(0, order);
  std::vector<Tensor> there;
  for (int64_t s = 0, begin = 0; s < n_species; ++s) {
    const int64_t count = counts.const_data_ptr<int64_t>()[s];
    if (count || n == 0) there.push_back(of_one_species(sorted.narrow(0, begin, count), weight[s], rows, dim_out));
    begin += count;
  }
  return at::zeros({n, dim_out}, x.options()).index_copy(0, order, at::cat(there));
}

}    // namespace

Tensor linear(const Tensor &x, const Tensor &weight, const Tensor &species, const Tensor &blocks, int64_t dim_out)
{
  if (x.is_cuda()) return by_torch(x, weight, species, blocks, dim_out);
  return Map(weight, species, blocks, size_of(x, 0), size_of(x, 1), dim_out).apply(x, false);
}

Tensor differentiable_linear(const Tensor &x, const Tensor &weight, const Tensor &species, const Tensor &blocks,
                             int64_t dim_out)
{
  if (x.is_cuda()) return by_torch(x, weight, species, blocks, dim_out);
  return Linear::apply(x, weight, species, blocks, dim_out);
}

}    // namespace equipot
