"""The torch operator equipot::gate: it activates scalars and multiplies higher irreps by activated scalars.

    equipot::gate(x, blocks, dim_out, silu, tanh) -> out
    out[i, out_start + m · mul + c] = x[i, x_start + m · mul + c] · f(x[i, gate_start + c]), or f(x) for scalars

    x (n, dim_in), out (n, dim_out), blocks (n_blocks, 6) int64: x_start, number of m, mul, out_start, gate_start
    (-1: scalars), even. f(x) is `silu` · silu(x) where even is 1, else `tanh` · tanh(x).

It is differentiable twice with the compiled kernels, any number of times without.
"""

from typing import Any

import torch
from torch import Tensor

from equipot.ops import engine
from equipot.ops.registration import register


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, blocks: Tensor, dim_out: int, silu: float, tanh: float) -> Tensor:
        ctx.save_for_backward(x, blocks)
        ctx.constants = (dim_out, silu, tanh)
        return engine.gating_of(x)(x, blocks, dim_out, silu, tanh).forward()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, blocks = ctx.saved_tensors
        return _Backward.apply(grad, x, blocks, *ctx.constants), None, None, None, None


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, grad: Tensor, x: Tensor, blocks: Tensor, dim_out: int, silu: float, tanh: float
    ) -> Tensor:
        ctx.save_for_backward(grad, x, blocks)
        ctx.constants = (dim_out, silu, tanh)
        return engine.gating_of(x)(x, blocks, dim_out, silu, tanh).backward(grad)

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor | None, ...]:
        grad, x, blocks = ctx.saved_tensors
        return *_DoubleBackward.apply(change, grad, x, blocks, *ctx.constants), None, None, None, None


class _DoubleBackward(torch.autograd.Function):
    """The gradients of <change, dS/dx> by grad and x."""

    @staticmethod
    def forward(
        ctx: Any,
        change: Tensor,
        grad: Tensor,
        x: Tensor,
        blocks: Tensor,
        dim_out: int,
        silu: float,
        tanh: float,
    ) -> tuple[Tensor, Tensor]:
        return engine.gating_of(x)(x, blocks, dim_out, silu, tanh).double_backward(grad, change)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor | None, ...]:
        raise RuntimeError(
            "third derivatives of a gate are not available from the compiled kernels; "
            "set EQUIPOT_ENGINE=off for the reference operator, which has them"
        )


def _forward(x: Tensor, blocks: Tensor, dim_out: int, silu: float, tanh: float) -> Tensor:
    if engine.serves(x):
        return engine.gating_of(x)(x, blocks, dim_out, silu, tanh).forward()
    return by_reference(x, blocks, dim_out, silu, tanh)


def _differentiable(x: Tensor, blocks: Tensor, dim_out: int, silu: float, tanh: float) -> Tensor:
    if engine.serves(x):
        return _Gate.apply(x, blocks, dim_out, silu, tanh)
    return by_reference(x, blocks, dim_out, silu, tanh)


def by_reference(x: Tensor, blocks: Tensor, dim_out: int, silu: float, tanh: float) -> Tensor:
    """Compute the operator in plain torch, for other devices and as an oracle."""

    def activated(scalars: Tensor, even: int) -> Tensor:
        return torch.nn.functional.silu(scalars) * silu if even else torch.tanh(scalars) * tanh

    out = [x.new_zeros(x.shape[0], 0)]
    rows = sorted(engine.cuda.host_copy(blocks).tolist(), key=lambda block: block[3])
    for start, dim, mul, _, gate, even in rows:
        block = x[:, start : start + dim * mul]
        if gate < 0:
            out.append(activated(block, even))
        else:
            factor = activated(x[:, gate : gate + mul], even).unsqueeze(1)
            out.append((block.reshape(-1, dim, mul) * factor).flatten(1))
    return torch.cat(out, dim=1)


register(
    "gate(Tensor x, Tensor blocks, int dim_out, float silu, float tanh) -> Tensor",
    by_reference,
    _forward,
    _differentiable,
)
