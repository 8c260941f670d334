"""The convolution in plain torch: the oracle of every faster kernel, on any device, differentiable any number of times.

    out[i] = sum over neighbours j and paths of  w_path(r_ij) · CG(x_j, Y(r_ij))

It keeps products per edge in memory, which is what the fused kernels avoid; its results define theirs.
"""

import math

import torch
from e3nn.o3 import wigner_3j
from torch import Tensor, nn

from equipot.ops.harmonics import SphericalHarmonics
from equipot.ops.paths import ConvolutionPaths, Path
from equipot.ops.table import read_table
from equipot.ops.topology import Topology


class _BlockConvolution(nn.Module):
    """All paths that start from one block of the input: (n_in, 2l + 1, mul) to (n_out, rows, mul)."""

    coupling: Tensor
    path_of_row: Tensor

    def __init__(self, l_in: int, mul: int, paths: list[Path], l_max: int, start: int) -> None:
        super().__init__()
        self.start, self.dim, self.mul = start, 2 * l_in + 1, mul
        self.n_paths = len(paths)
        self.first_weight = paths[0].weights.start
        self.n_rows = sum(p.out.dim for p in paths)
        coupling = torch.zeros((l_max + 1) ** 2, self.n_rows, self.dim, dtype=torch.float64)
        path_of_row: list[int] = []
        for i, path in enumerate(paths):
            row = len(path_of_row)
            # Each output component then has the variance of its inputs (e3nn's `component` normalisation).
            norm = math.sqrt(path.out.dim)
            w3j = wigner_3j(l_in, path.l_edge, path.out.l, dtype=torch.float64) * norm
            edge = slice(path.l_edge**2, (path.l_edge + 1) ** 2)
            coupling[edge, row : row + path.out.dim] = w3j.permute(1, 2, 0)
            path_of_row += [i] * path.out.dim
        self.register_buffer("coupling", coupling.flatten(1), persistent=False)
        self.register_buffer("path_of_row", torch.tensor(path_of_row), persistent=False)

    def forward(self, x: Tensor, harmonics: Tensor, weights: Tensor, graph: Topology) -> Tensor:
        n_edges = graph.centre.shape[0]
        block = x[:, self.start : self.start + self.dim * self.mul]
        x_j = block.index_select(0, graph.neighbour).view(n_edges, self.dim, self.mul)
        mixing = (harmonics @ self.coupling).view(n_edges, self.n_rows, self.dim)
        w = weights[:, self.first_weight : self.first_weight + self.n_paths * self.mul]
        w = w.reshape(n_edges, self.n_paths, self.mul).index_select(1, self.path_of_row)
        messages = torch.bmm(mixing, x_j) * w
        n_out = graph.rowptr.shape[0] - 1
        return x.new_zeros(n_out, self.n_rows, self.mul).index_add(0, graph.centre, messages)


class ReferenceConvolution(nn.Module):
    """The operator for one layer; see the module's docstring for the formula.

    forward(x, edge_vectors, table, inverse_cutoff, graph) -> (n_centres, paths.irreps_out.dim):
        x: (n_atoms, paths.irreps_in.dim) features in layout (atom, m, channel)
        edge_vectors: (n_edges, 3) Å in x's dtype, none of zero length
        table: (n_knots, order, paths.n_weights), see `read_table`
        inverse_cutoff: (n_edges,) or (1,), 1/Å: the table is read at u = r · inverse_cutoff
        graph: the edges
    """

    # For each output irrep, the (block, first row, end row) of its paths.
    gather: list[list[tuple[int, int, int]]]

    def __init__(self, paths: ConvolutionPaths) -> None:
        super().__init__()
        self.harmonics = SphericalHarmonics(paths.l_max)
        blocks, used, start = [], [], 0
        for block, (mul, ir) in enumerate(paths.irreps_in):
            mine = [p for p in paths.paths if p.block == block]
            if mine:
                blocks.append(_BlockConvolution(ir.l, mul, mine, paths.l_max, start))
                used.append(mine)
            start += mul * ir.dim
        self.blocks = nn.ModuleList(blocks)
        self.gather = []
        for _, ir in paths.irreps_out:
            places = []
            for b, mine in enumerate(used):
                row = 0
                for path in mine:
                    if path.out == ir:
                        places.append((b, row, row + ir.dim))
                    row += path.out.dim
            self.gather.append(places)

    def forward(
        self, x: Tensor, edge_vectors: Tensor, table: Tensor, inverse_cutoff: Tensor, graph: Topology
    ) -> Tensor:
        r = edge_vectors.square().sum(1).sqrt()
        harmonics = self.harmonics(edge_vectors / r.unsqueeze(1))
        weights = read_table(table, r * inverse_cutoff)
        sums: list[Tensor] = []
        for block in self.blocks:
            sums.append(block(x, harmonics, weights, graph))
        out: list[Tensor] = []
        for places in self.gather:
            parts: list[Tensor] = []
            for b, first, end in places:
                parts.append(sums[b][:, first:end])
            out.append(torch.cat(parts, dim=2).flatten(1))
        return torch.cat(out, dim=1)
