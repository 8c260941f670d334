"""Bytes and fused multiply-adds of every kernel of a step (energies and forces), from graph, irreps and table sizes.

Bytes are the least that any kernel must move: every number that it needs is read from memory once and every result is
written once, as if all repeated reads came from a cache. Fused multiply-adds are those of
`equipot.speed.arithmetic`: the products whose number grows with the channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from equipot.network.gate import Gate
from equipot.network.potential import Potential
from equipot.ops import ConvolutionPaths
from equipot.speed.arithmetic import convolution_cost, network_cost

INDEX = 8  # bytes of int64


@dataclass(frozen=True)
class Work:
    """Work of one launch, or of several together."""

    n_bytes: int = 0
    fma: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.n_bytes + other.n_bytes, self.fma + other.fma)


@dataclass(frozen=True)
class GraphSize:
    """Numbers of a graph that determine the work of kernels."""

    atoms: int
    edges: int
    centres: int  # atoms that are the centre of an edge
    neighbours: int  # atoms that are the neighbour of an edge
    rows: int  # of the radial table that some edge reads: the knots on either side of its length

    @classmethod
    def of(
        cls, edge_index: Tensor, lengths: Tensor, n_atoms: int, cutoff: float, n_knots: int
    ) -> "GraphSize":
        """Count from edge_index (2, n_edges) and lengths (n_edges,) Å, one cutoff for all pairs."""
        intervals = n_knots - 1
        below = (lengths / cutoff * intervals).floor().clamp(max=intervals - 1)
        rows = torch.cat([below, below + 1]).unique()
        distinct = [int(row.unique().numel()) for row in edge_index]
        return cls(n_atoms, edge_index.shape[1], *distinct, int(rows.numel()))


def columns_read(paths: ConvolutionPaths) -> int:
    """Count the columns of the incoming features that some path reads."""
    return sum(paths.irreps_in[block].dim for block in {p.block for p in paths.paths})


def convolution_forward(paths: ConvolutionPaths, order: int, graph: GraphSize, real: int) -> Work:
    """Count by_centre: reads neighbours' features, vectors, table; writes all atoms' sums. real: bytes per number."""
    numbers = graph.neighbours * columns_read(paths) + 3 * graph.edges + graph.rows * order * paths.n_weights
    numbers += graph.atoms * paths.irreps_out.dim
    indices = graph.edges + graph.atoms + 1  # neighbours, where each centre's edges begin
    return Work(real * numbers + INDEX * indices, graph.edges * convolution_cost(paths, order).forward)


def convolution_backward(
    paths: ConvolutionPaths, order: int, graph: GraphSize, real: int, input_gradient: bool
) -> Work:
    """Count by_neighbour: reads the sums' gradients and all that by_centre reads; writes gradients of both."""
    numbers = graph.centres * paths.irreps_out.dim + graph.neighbours * columns_read(paths)
    numbers += 3 * graph.edges + graph.rows * order * paths.n_weights
    numbers += 3 * graph.edges + (graph.atoms * paths.irreps_in.dim if input_gradient else 0)
    indices = (
        2 * graph.edges + graph.atoms + 1
    )  # the transposed graph, centres, where each neighbour's edges begin
    fma = convolution_cost(paths, order, input_gradient).backward
    return Work(real * numbers + INDEX * indices, graph.edges * fma)


def gate(module: Gate, atoms: int, real: int, backward: bool) -> Work:
    """Count a gate: reads and writes features, and backward reads gradients. Its few products are omitted."""
    dim_in, dim_out = module.irreps_in.dim, module.dim_out
    return Work(real * atoms * (2 * dim_in + dim_out if backward else dim_in + dim_out))


def linear_maps(potential: Potential, atoms: int, real: int) -> Work:
    """Count all layers' maps and the readout, forward and backward: features in and out, and the matrices."""
    cost = network_cost(potential)
    fma = atoms * (sum(c.total for c in cost.linear_maps) + cost.readout.total)
    numbers = 0
    for k, layer in enumerate(potential.layers):
        entering = 2 if k > 0 else 1  # nothing is differentiated with respect to the first features
        maps = [(layer.linear_in, entering), (layer.linear_out, 2)]
        if layer.self_connection is not None:
            maps.append((layer.self_connection, entering))
        for module, passes in maps:
            dims = [sum(d * mul for _, d, mul, *_ in rows) for rows in _in_and_out(module.blocks.tolist())]
            numbers += passes * (atoms * sum(dims) + module.weight.numel())
    for m in potential.read.modules():
        if isinstance(m, torch.nn.Linear):
            numbers += 2 * (atoms * (m.in_features + m.out_features) + m.weight.numel())
    return Work(real * numbers, fma)


def _in_and_out(blocks: list[list[int]]) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """Return (start, number of m, mul) of the distinct blocks that are read, and of those that are written."""
    read = sorted({(start, dim, mul) for start, dim, mul, _, _, _ in blocks})
    written = sorted({(start, dim, mul) for _, dim, _, start, mul, _ in blocks})
    return read, written


def launches(potential: Potential, graph: GraphSize) -> dict[str, list[Work]]:
    """Return the work of each launch in a step, in order, by kernel; backward kernels begin with the last layer."""
    real = 4 if potential.spec.dtype == "float32" else 8
    order = potential.spec.spline_order
    layers = list(enumerate(potential.layers))
    return {
        "by_centre": [convolution_forward(l.paths, order, graph, real) for _, l in layers],
        "by_neighbour": [
            convolution_backward(l.paths, order, graph, real, input_gradient=k > 0)
            for k, l in reversed(layers)
        ],
        "gate": [gate(l.gate, graph.atoms, real, False) for _, l in layers],
        "gate_backward": [gate(l.gate, graph.atoms, real, True) for _, l in reversed(layers)],
    }
