"""The torch operator equipot::convolve, which eager models, model files and (registered in C++) LAMMPS call.

    equipot::convolve(x, edge_vectors, table, inverse_cutoff, centre, neighbour, rowptr, transpose_rowptr,
                      transpose_edges, paths, coupling, doubled_knot=0) -> out

    x (n_in, dim_in), edge_vectors (n_edges, 3), table (n_knots, order, n_weights), inverse_cutoff (1,) or
    (n_edges,): of one dtype, float32 or float64. The graph (see `Topology`) and paths: int64. paths, coupling (of
    either precision): see `ConvolutionPaths.plan`. doubled_knot: see `read_table`. out (n_centres, dim_out).

On the CPU and on NVIDIA GPUs compiled kernels serve it, differentiable twice with respect to x, edge_vectors and
table; on other devices, and without the kernels, the reference does.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from equipot.ops import engine
from equipot.ops.reference import reference_of
from equipot.ops.registration import register
from equipot.ops.topology import Topology

_SCHEMA = (
    "convolve(Tensor x, Tensor edge_vectors, Tensor table, Tensor inverse_cutoff, Tensor centre, Tensor neighbour, "
    "Tensor rowptr, Tensor transpose_rowptr, Tensor transpose_edges, Tensor paths, Tensor coupling, "
    "int doubled_knot=0) -> Tensor"
)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, vectors: Tensor, table: Tensor, doubled: int, *rest: Tensor) -> Tensor:
        ctx.save_for_backward(x, vectors, table, *rest)
        ctx.doubled = doubled
        return engine.convolution_of(x)(x, vectors, table, rest[0], rest[1:], doubled).forward()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, vectors, table, *rest = ctx.saved_tensors
        found = _Backward.apply(_inner(grad), x, vectors, table, _wanted(ctx, 3), ctx.doubled, *rest)
        return (*found, None, *[None] * len(rest))


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        grad: Tensor,
        x: Tensor,
        vectors: Tensor,
        table: Tensor,
        wanted: Sequence[bool],
        doubled: int,
        *rest: Tensor,
    ) -> tuple[Tensor | None, ...]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(grad, x, vectors, table, *rest)
        ctx.doubled = doubled
        call = engine.convolution_of(x)(x, vectors, table, rest[0], rest[1:], doubled)
        return tuple(call.backward(grad, wanted))

    @staticmethod
    def backward(
        ctx: Any, ax: Tensor | None, av: Tensor | None, at: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        grad, x, vectors, table, *rest = ctx.saved_tensors
        wanted = _wanted(ctx, 4)
        found = _Second.apply(ax, av, at, grad, x, vectors, table, wanted, ctx.doubled, *rest)
        return (*found, None, None, *[None] * len(rest))


class _Second(torch.autograd.Function):
    """Derivatives of <ax, dS/dx> + <av, dS/dvectors> + <at, dS/dtable> by grad, x, vectors, table."""

    @staticmethod
    def forward(
        ctx: Any,
        ax: Tensor | None,
        av: Tensor | None,
        at: Tensor | None,
        grad: Tensor,
        x: Tensor,
        vectors: Tensor,
        table: Tensor,
        wanted: Sequence[bool],
        doubled: int,
        *rest: Tensor,
    ) -> tuple[Tensor | None, ...]:
        kernels = engine.convolution_of(x)
        call = kernels(x, vectors, table, rest[0], rest[1:], doubled)
        found: list[Tensor | None] = [None] * 4
        if ax is not None or av is not None:
            found = call.second(grad, ax, av, wanted)
        if at is not None:
            # The convolution is linear in its table: a change of it acts like a table of its own.
            changed = kernels(x, vectors, at, rest[0], rest[1:], doubled)
            more = [
                changed.forward() if wanted[0] else None,
                *changed.backward(grad, [*wanted[1:3], False])[:2],
            ]
            for k, (old, term) in enumerate(zip(found, more)):
                found[k] = term if old is None else old if term is None else old + term
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor | None, ...]:
        raise RuntimeError(
            "third derivatives of a convolution are not available from the compiled kernels; "
            "set EQUIPOT_ENGINE=off for the reference operator, which has them"
        )


def _inner(tensor: Tensor) -> Tensor:
    """The tensor as a view where it is a leaf: `_wanted` can ask torch only about nodes that are not leaves."""
    return tensor.view_as(tensor) if tensor.is_leaf and tensor.requires_grad else tensor


def _wanted(ctx: Any, n: int) -> list[bool]:
    """Which of the first n inputs' gradients the present backward pass asks for.

    `needs_input_grad` alone says which could be asked for at all; when only forces are wanted, it would make
    the kernels compute the gradient of the radial table as well.
    """
    wanted = []
    for needed, (node, _) in zip(ctx.needs_input_grad[:n], ctx.next_functions[:n]):
        wanted.append(bool(needed and node is not None and torch._C._will_engine_execute_node(node)))
    return wanted


# The arguments behind the first four: seven tensors and, where it is not 0, the doubled knot.
def _forward(x: Tensor, vectors: Tensor, table: Tensor, cutoff: Tensor, *rest: Any) -> Tensor:
    if engine.serves(x):
        return engine.convolution_of(x)(x, vectors, table, cutoff, rest[:7], *rest[7:]).forward()
    return _by_reference(x, vectors, table, cutoff, *rest)


def _differentiable(x: Tensor, vectors: Tensor, table: Tensor, cutoff: Tensor, *rest: Any) -> Tensor:
    if engine.serves(x):
        doubled = rest[7] if len(rest) > 7 else 0
        return _Convolve.apply(_inner(x), _inner(vectors), _inner(table), doubled, cutoff, *rest[:7])
    return _by_reference(x, vectors, table, cutoff, *rest)


def _by_reference(x: Tensor, vectors: Tensor, table: Tensor, cutoff: Tensor, *rest: Any) -> Tensor:
    graph = Topology(*rest[:5])
    return reference_of(rest[5], x.dtype, x.device)(x, vectors, table, cutoff, graph, *rest[7:])


register(_SCHEMA, _by_reference, _forward, _differentiable)
