"""The convolution in plain torch: the oracle of every faster kernel, on any device, differentiable any number of times.

    out[i] = sum over neighbours j and paths of  w_path(r_ij) · CG(x_j, Y(r_ij))

It stores products per edge in memory, which the fused kernels avoid. Its results define the results of the kernels.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from equipot.ops.coupling import wigner_3j
from equipot.ops.harmonics import SphericalHarmonics
from equipot.ops.table import read_table
from equipot.ops.topology import Topology


class PathRow(NamedTuple):
    """A row of `ConvolutionPaths.plan`."""

    l_in: int
    l_edge: int
    l_out: int
    mul: int
    x_start: int
    out_start: int
    out_stride: int
    weight_start: int

    @property
    def dim(self) -> int:
        return 2 * self.l_out + 1


class _BlockConvolution(nn.Module):
    """The paths that start from one block of the input: they map (n_in, 2l + 1, mul) to (n_out, rows, mul)."""

    coupling: Tensor
    path_of_row: Tensor
    columns: Tensor

    def __init__(self, paths: list[PathRow], l_max: int) -> None:
        super().__init__()
        l_in = paths[0].l_in
        self.start, self.dim, self.mul = paths[0].x_start, 2 * l_in + 1, paths[0].mul
        self.n_paths = len(paths)
        coupling = torch.zeros((l_max + 1) ** 2, sum(p.dim for p in paths), self.dim, dtype=torch.float64)
        path_of_row: list[int] = []
        columns: list[Tensor] = []
        for i, path in enumerate(paths):
            row = len(path_of_row)
            # Gives each output component the variance of the inputs (e3nn's `component` normalisation).
            norm = math.sqrt(path.dim)
            w3j = wigner_3j(l_in, path.l_edge, path.l_out) * norm
            edge = slice(path.l_edge**2, (path.l_edge + 1) ** 2)
            coupling[edge, row : row + path.dim] = w3j.permute(1, 2, 0)
            path_of_row += [i] * path.dim
            columns.append(torch.arange(path.weight_start, path.weight_start + path.mul))
        self.register_buffer("coupling", coupling.flatten(1), persistent=False)
        self.register_buffer("path_of_row", torch.tensor(path_of_row), persistent=False)
        self.register_buffer("columns", torch.cat(columns), persistent=False)

    def forward(self, x: Tensor, harmonics: Tensor, weights: Tensor, graph: Topology) -> Tensor:
        n_edges = graph.centre.shape[0]
        block = x[:, self.start : self.start + self.dim * self.mul]
        x_j = block.index_select(0, graph.neighbour).view(n_edges, self.dim, self.mul)
        n_rows = self.path_of_row.shape[0]
        mixing = (harmonics @ self.coupling).view(n_edges, n_rows, self.dim)
        w = weights.index_select(1, self.columns).view(n_edges, self.n_paths, self.mul)
        messages = torch.bmm(mixing, x_j) * w.index_select(1, self.path_of_row)
        n_out = graph.rowptr.shape[0] - 1
        return x.new_zeros(n_out, n_rows, self.mul).index_add(0, graph.centre, messages)


class ReferenceConvolution(nn.Module):
    """The operator for one layer, from the paths (n_paths, 8) of `ConvolutionPaths.plan`.

    forward(x, edge_vectors, table, inverse_cutoff, graph) is that of `Convolution`.
    """

    def __init__(self, rows: list[list[int]]) -> None:
        super().__init__()
        paths = [PathRow(*row) for row in rows]
        l_max = max((p.l_edge for p in paths), default=0)
        self.harmonics = SphericalHarmonics(l_max)
        blocks: list[_BlockConvolution] = []
        place: dict[PathRow, tuple[int, int, int]] = {}
        for start in sorted({p.x_start for p in paths}):
            of_block = [p for p in paths if p.x_start == start]
            row = 0
            for path in of_block:
                place[path] = (len(blocks), row, row + path.dim)
                row += path.dim
            blocks.append(_BlockConvolution(of_block, l_max))
        self.blocks = nn.ModuleList(blocks)
        # For each block of the output, the (input block, first row, end row) of its paths, side by side.
        self.gather: list[list[tuple[int, int, int]]] = []
        end = 0
        for path in sorted(paths, key=lambda p: p.out_start):
            if path.out_start == end:
                self.gather.append([])
                end += path.dim * path.out_stride
            self.gather[-1].append(place[path])

    def forward(
        self,
        x: Tensor,
        edge_vectors: Tensor,
        table: Tensor,
        inverse_cutoff: Tensor,
        graph: Topology,
        doubled_knot: int = 0,
    ) -> Tensor:
        r = edge_vectors.square().sum(1).sqrt()
        harmonics = self.harmonics(edge_vectors / r.unsqueeze(1))
        weights = read_table(table, r * inverse_cutoff, doubled_knot)
        sums = [block(x, harmonics, weights, graph) for block in self.blocks]
        out = [x.new_zeros(graph.rowptr.shape[0] - 1, 0)]
        for places in self.gather:
            parts = [sums[b][:, first:end] for b, first, end in places]
            out.append(torch.cat(parts, dim=2).flatten(1))
        return torch.cat(out, dim=1)


def reference_of(paths: Tensor, dtype: torch.dtype, device: torch.device) -> ReferenceConvolution:
    """Return the reference for the paths (n_paths, 8) of a plan, built once for each plan, dtype and device."""
    return _build(tuple(map(tuple, paths.tolist())), dtype, device)


@lru_cache(maxsize=256)
def _build(
    rows: tuple[tuple[int, ...], ...], dtype: torch.dtype, device: torch.device
) -> ReferenceConvolution:
    return ReferenceConvolution([list(row) for row in rows]).to(device=device, dtype=dtype)
