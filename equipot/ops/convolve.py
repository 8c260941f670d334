"""The torch operator equipot::convolve. Eager models, model files and LAMMPS (which registers it in C++) call it.

    equipot::convolve(x, edge_vectors, table, inverse_cutoff, centre, neighbour, rowptr, transpose_rowptr,
                      transpose_edges, paths, coupling, doubled_knot=0) -> out

    x (n_in, dim_in), edge_vectors (n_edges, 3), table (n_knots, order, n_weights), inverse_cutoff (1,) or
    (n_edges,): one dtype, float32 or float64. The graph (see `Topology`) and paths: int64. coupling: either
    precision. paths, coupling: see `ConvolutionPaths.plan`. doubled_knot: see `read_table`. out (n_centres, dim_out).

Compiled kernels compute it on the CPU and on NVIDIA GPUs, differentiable twice with respect to x, edge_vectors and
table. On other devices, and without the kernels, the reference operator computes it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from equipot.ops import engine
from equipot.ops.gradients import inner_node, requested
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
    def forward(
        ctx: Any, x: Tensor, vectors: Tensor, table: Tensor, doubled: int, *constants: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, vectors, table, *constants)
        ctx.doubled = doubled
        return engine.convolution_of(x)(x, vectors, table, constants[0], constants[1:], doubled).forward()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, vectors, table, *constants = ctx.saved_tensors
        requests = [requested(ctx, k) for k in range(3)]
        gradients = _Backward.apply(inner_node(grad), x, vectors, table, requests, ctx.doubled, *constants)
        return (*gradients, None, *[None] * len(constants))


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        grad: Tensor,
        x: Tensor,
        vectors: Tensor,
        table: Tensor,
        requests: Sequence[bool],
        doubled: int,
        *constants: Tensor,
    ) -> tuple[Tensor | None, ...]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(grad, x, vectors, table, *constants)
        ctx.doubled = doubled
        call = engine.convolution_of(x)(x, vectors, table, constants[0], constants[1:], doubled)
        return tuple(call.backward(grad, requests))

    @staticmethod
    def backward(
        ctx: Any, ax: Tensor | None, av: Tensor | None, at: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        grad, x, vectors, table, *constants = ctx.saved_tensors
        requests = [requested(ctx, k) for k in range(4)]
        gradients = _DoubleBackward.apply(
            ax, av, at, grad, x, vectors, table, requests, ctx.doubled, *constants
        )
        return (*gradients, None, None, *[None] * len(constants))


class _DoubleBackward(torch.autograd.Function):
    """The derivatives of <ax, dS/dx> + <av, dS/dvectors> + <at, dS/dtable> by grad, x, vectors, table."""

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
        requests: Sequence[bool],
        doubled: int,
        *constants: Tensor,
    ) -> tuple[Tensor | None, ...]:
        kernels = engine.convolution_of(x)
        call = kernels(x, vectors, table, constants[0], constants[1:], doubled)
        gradients: list[Tensor | None] = [None] * 4
        if ax is not None or av is not None:
            gradients = call.double_backward(grad, ax, av, requests)
        if at is not None:
            # The convolution is linear in its table, so it can take a change of the table as a table.
            changed = kernels(x, vectors, at, constants[0], constants[1:], doubled)
            terms = [
                changed.forward() if requests[0] else None,
                *changed.backward(grad, [*requests[1:3], False])[:2],
            ]
            for k, (old, term) in enumerate(zip(gradients, terms)):
                gradients[k] = term if old is None else old if term is None else old + term
        return tuple(gradients)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor | None, ...]:
        raise RuntimeError(
            "third derivatives of a convolution are not available from the compiled kernels; "
            "set EQUIPOT_ENGINE=off for the reference operator, which has them"
        )


# `others` holds the graph, paths and coupling (seven tensors), and the doubled knot unless it is 0.
def _forward(x: Tensor, vectors: Tensor, table: Tensor, cutoff: Tensor, *others: Any) -> Tensor:
    if engine.serves(x):
        return engine.convolution_of(x)(x, vectors, table, cutoff, others[:7], *others[7:]).forward()
    return _by_reference(x, vectors, table, cutoff, *others)


def _differentiable(x: Tensor, vectors: Tensor, table: Tensor, cutoff: Tensor, *others: Any) -> Tensor:
    if engine.serves(x):
        doubled = others[7] if len(others) > 7 else 0
        differentiable = inner_node(x), inner_node(vectors), inner_node(table)
        return _Convolve.apply(*differentiable, doubled, cutoff, *others[:7])
    return _by_reference(x, vectors, table, cutoff, *others)


def _by_reference(x: Tensor, vectors: Tensor, table: Tensor, cutoff: Tensor, *others: Any) -> Tensor:
    graph = Topology(*others[:5])
    return reference_of(others[5], x.dtype, x.device)(x, vectors, table, cutoff, graph, *others[7:])


register(_SCHEMA, _by_reference, _forward, _differentiable)
