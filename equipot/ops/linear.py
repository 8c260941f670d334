"""The torch operator equipot::linear: a matrix for each block of a feature's columns, optionally for each species.

    equipot::linear(x, weight, species, blocks, dim_out) -> out
    out[i, out_start + m · mul_out + d] = sum over c: x[i, x_start + m · mul_in + c] · W_s(i)[c, d]

    x (n, dim_in), out (n, dim_out), weight (n_species, n_weights), blocks (n_blocks, 6) int64: x_start, number of m,
    mul_in, out_start, mul_out, weight_start. species (n,) int64 is read only where n_species > 1. Columns of out
    that no block writes are zero.

It replaces a product, copies and a concatenation per block. In the layout (atom, m, channel) the rows of a block are
not one matrix in memory; the kernels need no copy. It is differentiable any number of times.
"""

from typing import Any

import torch
from torch import Tensor

from equipot.ops import engine
from equipot.ops.gradients import inner_node, requested
from equipot.ops.registration import register


class _Linear(torch.autograd.Function):
    """The map from x to out; if transposed, from (n, dim_out) to (n, dim_in) with the transposed matrices."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        species: Tensor,
        blocks: Tensor,
        dims: tuple[int, int],
        transposed: bool,
    ) -> Tensor:
        # Only the gradient of the weights needs x, so inference does not store it.
        ctx.save_for_backward(x if weight.requires_grad else None, weight, species, blocks)
        ctx.dims, ctx.transposed = dims, transposed
        return _map(x, weight.shape, species, blocks, dims).apply(x, weight, transposed)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, *constants = ctx.saved_tensors
        dx = dweight = None
        if ctx.needs_input_grad[0]:
            dx = _Linear.apply(grad, weight, *constants, ctx.dims, not ctx.transposed)
        if requested(ctx, 1):
            pair = (grad, x) if ctx.transposed else (x, grad)
            dweight = _Weights.apply(*pair, *constants, weight.shape)
        return dx, dweight, None, None, None, None


class _Weights(torch.autograd.Function):
    """The gradient of the weights from x and the gradient of out."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, grad: Tensor, species: Tensor, blocks: Tensor, shape: torch.Size
    ) -> Tensor:
        ctx.save_for_backward(x, grad, species, blocks)
        return _map(x, shape, species, blocks, (x.shape[1], grad.shape[1])).weights(x, grad)

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor | None, ...]:
        x, grad, *constants = ctx.saved_tensors
        dims = (x.shape[1], grad.shape[1])
        dx = _Linear.apply(grad, change, *constants, dims, True) if ctx.needs_input_grad[0] else None
        dgrad = _Linear.apply(x, change, *constants, dims, False) if ctx.needs_input_grad[1] else None
        return dx, dgrad, None, None, None


def _map(
    x: Tensor, shape: torch.Size, species: Tensor, blocks: Tensor, dims: tuple[int, int]
) -> engine.LinearMap:
    return engine.LinearMap(x.dtype, x.shape[0], dims, shape, species, blocks)


def _forward(x: Tensor, weight: Tensor, species: Tensor, blocks: Tensor, dim_out: int) -> Tensor:
    if not x.is_cuda and engine.available():
        return _map(x, weight.shape, species, blocks, (x.shape[1], dim_out)).apply(x, weight, False)
    return by_reference(x, weight, species, blocks, dim_out)


def _differentiable(x: Tensor, weight: Tensor, species: Tensor, blocks: Tensor, dim_out: int) -> Tensor:
    if not x.is_cuda and engine.available():
        return _Linear.apply(x, inner_node(weight), species, blocks, (x.shape[1], dim_out), False)
    return by_reference(x, weight, species, blocks, dim_out)


def by_reference(x: Tensor, weight: Tensor, species: Tensor, blocks: Tensor, dim_out: int) -> Tensor:
    """Compute the operator in plain torch: on GPUs, with their matrix products, and as an oracle."""
    rows = sorted(engine.cuda.host_copy(blocks).tolist(), key=lambda block: block[3])
    if weight.shape[0] == 1:
        return _of_one_species(x, weight[0], rows, dim_out)
    # Atoms are sorted by species, so that only the numbers of atoms have to be copied from a GPU.
    order = species.argsort(stable=True)
    counts = species.bincount(minlength=weight.shape[0]).tolist()
    pieces = zip(x.index_select(0, order).split(counts), weight.unbind())
    results = [_of_one_species(part, w, rows, dim_out) for part, w in pieces if len(part) or not len(x)]
    return x.new_zeros(x.shape[0], dim_out).index_copy(0, order, torch.cat(results))


def _of_one_species(x: Tensor, weight: Tensor, rows: list[list[int]], dim_out: int) -> Tensor:
    parts, end = [], 0
    for start, dim, mul_in, out_start, mul_out, first in rows:
        parts.append(x.new_zeros(x.shape[0], out_start - end))
        block = x[:, start : start + dim * mul_in].reshape(-1, dim, mul_in)
        matrix = weight[first : first + mul_in * mul_out].view(mul_in, mul_out)
        parts.append((block @ matrix).flatten(1))
        end = out_start + dim * mul_out
    parts.append(x.new_zeros(x.shape[0], dim_out - end))
    return torch.cat(parts, dim=1)


register(
    "linear(Tensor x, Tensor weight, Tensor species, Tensor blocks, int dim_out) -> Tensor",
    by_reference,
    _forward,
    _differentiable,
)
