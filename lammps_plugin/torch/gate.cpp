// equipot::gate with its first derivative.
#include "engine_operators.h"

#include "engine.h"
#include "place.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace equipot {
namespace {

// The arguments of a call, checked and in the layout of the kernels.
class Call {
 public:
  Call(const Tensor &given, const Tensor &given_blocks, int64_t dim_out, double silu, double tanh)
  {
    const at::ScalarType dtype = given.scalar_type();
    TORCH_CHECK(dtype == at::kFloat || dtype == at::kDouble, "x is ", dtype, "; expected Float or Double");
    expect_tensor(given, "x", given.device(), dtype, 2);
    blocks = host_copy(given_blocks).contiguous();
    expect_tensor(blocks, "blocks", at::kCPU, at::kLong, 2);
    TORCH_CHECK(blocks.size(1) == EQUIPOT_GATE_FIELDS, "blocks has shape ", blocks.sizes(),
                "; expected (n_blocks, 6)");
    expect_size(dim_out, "dim_out");
    x = given.contiguous();
    expect_small(blocks, "blocks", -1);
    gate.size = sizeof(gate);
    gate.dtype = dtype == at::kDouble ? EQUIPOT_FLOAT64 : EQUIPOT_FLOAT32;
    gate.threads = at::get_num_threads();
    gate.n = x.size(0);
    gate.dim_in = x.size(1);
    gate.dim_out = dim_out;
    gate.n_blocks = blocks.size(0);
    gate.blocks = blocks.const_data_ptr<int64_t>();
    gate.silu = silu;
    gate.tanh = tanh;
  }

  Tensor forward() const
  {
    Tensor out = at::empty({gate.n, gate.dim_out}, x.options());
    EngineMessage message;
    const void *from = x.const_data_ptr();
    void *to = out.mutable_data_ptr();
    message.check(x.is_cuda() ? equipot_cuda_gate(&gate, Place(x), from, to, message.text, sizeof(message.text))
                              : equipot_gate(&gate, from, to, message.text, sizeof(message.text)),
                  "gate");
    return out;
  }

  Tensor backward(Tensor gradient) const
  {
    expect_tensor(gradient, "a gradient", x.device(), x.scalar_type(), 2);
    TORCH_CHECK(gradient.size(0) == gate.n && gradient.size(1) == gate.dim_out, "a gradient has shape ",
                gradient.sizes(), "; expected (", gate.n, ", ", gate.dim_out, ")");
    gradient = gradient.contiguous();
    Tensor dx = at::empty_like(x);
    EngineMessage message;
    const void *at_x = x.const_data_ptr(), *from = gradient.const_data_ptr();
    void *to = dx.mutable_data_ptr();
    message.check(x.is_cuda()
                      ? equipot_cuda_gate_backward(&gate, Place(x), at_x, from, to, message.text, sizeof(message.text))
                      : equipot_gate_backward(&gate, at_x, from, to, message.text, sizeof(message.text)),
                  "gate");
    return dx;
  }

 private:
  Tensor x, blocks;
  equipot_gating gate{};
};

struct Gate : torch::autograd::Function<Gate> {
  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &blocks, int64_t dim_out, double silu,
                        double tanh)
  {
    context->save_for_backward({x, blocks});
    context->saved_data["dim_out"] = dim_out;
    context->saved_data["silu"] = silu;
    context->saved_data["tanh"] = tanh;
    return Call(x, blocks, dim_out, silu, tanh).forward();
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients)
  {
    refuse_second_derivatives();
    const variable_list saved = context->get_saved_variables();
    const Call call(saved[0], saved[1], context->saved_data["dim_out"].toInt(), context->saved_data["silu"].toDouble(),
                    context->saved_data["tanh"].toDouble());
    variable_list found(5);
    found[0] = call.backward(gradients[0]);
    return found;
  }
};

}    // namespace

Tensor gate(const Tensor &x, const Tensor &blocks, int64_t dim_out, double silu, double tanh)
{
  return Call(x, blocks, dim_out, silu, tanh).forward();
}

Tensor differentiable_gate(const Tensor &x, const Tensor &blocks, int64_t dim_out, double silu, double tanh)
{
  return Gate::apply(x, blocks, dim_out, silu, tanh);
}

}    // namespace equipot
