"""The convolution of one layer as a module: its paths, and the call of the operator."""

import torch
from torch import Tensor, nn

import equipot.ops.convolve  # noqa: F401  registers equipot::convolve
from equipot.ops.paths import ConvolutionPaths
from equipot.ops.topology import Topology


class Convolution(nn.Module):
    """The convolution  out[i] = sum over neighbours j and paths of  w_path(r_ij) · CG(x_j, Y(r_ij)).

    forward(x, edge_vectors, table, inverse_cutoff, graph) -> (n_centres, paths.irreps_out.dim):
        x: (n_atoms, paths.irreps_in.dim) features in layout (atom, m, channel)
        edge_vectors: (n_edges, 3) Å in the dtype of x, none of zero length
        table: (n_knots, order, paths.n_weights), see `read_table`
        inverse_cutoff: (n_edges,) or (1,), 1/Å: the table is read at u = r · inverse_cutoff
        graph: the sorted edges
    """

    paths: Tensor
    coupling: Tensor

    def __init__(self, paths: ConvolutionPaths, doubled_knot: int = 0) -> None:
        super().__init__()
        self.doubled_knot = doubled_knot
        rows, coupling = paths.plan()
        self.register_buffer("paths", rows, persistent=False)
        self.register_buffer("coupling", coupling, persistent=False)

    def forward(
        self, x: Tensor, edge_vectors: Tensor, table: Tensor, inverse_cutoff: Tensor, graph: Topology
    ) -> Tensor:
        return torch.ops.equipot.convolve(
            x,
            edge_vectors,
            table,
            inverse_cutoff,
            graph.centre,
            graph.neighbour,
            graph.rowptr,
            graph.transpose_rowptr,
            graph.transpose_edges,
            self.paths,
            self.coupling,
            self.doubled_knot,
        )
