"""Edges within the cutoff, their sorted views, and sums of their gradients, by the compiled kernels."""

import ctypes

import torch
from torch import Tensor

from equipot.ops.engine.library import call, expect, function

_N, _P = ctypes.c_int64, ctypes.c_void_p


class Sorting:
    """The sorted views of an edge list, see `ops.topology.Topology`.

    edge_index: (2, n_edges) int64; its centres are among the first n_centres of n_atoms atoms, else raise ValueError.
    """

    def __init__(self, edge_index: Tensor, n_centres: int, n_atoms: int) -> None:
        fits = edge_index.dtype == torch.int64 and edge_index.dim() == 2 and edge_index.shape[0] == 2
        expect(
            fits, f"edge_index is {edge_index.dtype} {tuple(edge_index.shape)}; expected int64 (2, n_edges)"
        )
        self.edges, self.n_centres, self.n_atoms = edge_index.contiguous(), n_centres, n_atoms
        self.n_edges = edge_index.shape[1]

    def topology(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return rowptr, transpose_rowptr and transpose_edges; raise RuntimeError for a wrong graph."""
        sizes = (self.n_centres + 1, self.n_atoms + 1, self.n_edges)
        views = tuple(torch.empty(size, dtype=torch.int64, device=self.edges.device) for size in sizes)
        start = self.edges.data_ptr()
        try:
            self._call(start, start + 8 * self.n_edges, *(t.data_ptr() for t in views))
        except ValueError as error:  # TorchScript has only RuntimeError
            raise RuntimeError(str(error)) from None
        return views  # type: ignore[return-value]

    def _call(self, *pointers: int) -> None:
        kernels = function("topology", (*[_N] * 3, *[_P] * 5))
        call("graph", kernels, self.n_edges, self.n_centres, self.n_atoms, *pointers)


def near(
    positions: Tensor, edge_index: Tensor, shifts: Tensor, cell: Tensor, limit_squared: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the edges with |r_ij|² < limit_squared, and their vectors r_ij = r_j - r_i + shifts · cell.

    positions (n_atoms, 3), shifts (n_edges, 3), cell (3, 3), limit_squared (1,) or (n_edges,): float64.
    """
    arrays = [t.contiguous() for t in (edge_index, positions, shifts, cell, limit_squared)]
    n_edges, n_atoms = edge_index.shape[1], positions.shape[0]
    expect(arrays[0].dtype == torch.int64, f"edge_index is {arrays[0].dtype}; expected int64")
    expect(
        all(t.dtype == torch.float64 for t in arrays[1:]), "positions, shifts, cell or limits are not float64"
    )
    shapes = [tuple(t.shape) for t in arrays[1:4]]
    expect(shapes == [(n_atoms, 3), (n_edges, 3), (3, 3)], f"positions, shifts and cell have shapes {shapes}")
    expect(arrays[4].numel() in (1, n_edges), "limits are neither one number nor one per edge")
    centre, neighbour = torch.empty(2, n_edges, dtype=torch.int64)
    vectors = torch.empty(n_edges, 3, dtype=torch.float64)
    edges, *reals = (t.data_ptr() for t in arrays)
    arguments = (reals[0], edges, edges + 8 * n_edges, *reals[1:], int(arrays[4].numel() != 1))
    out = (centre.data_ptr(), neighbour.data_ptr(), vectors.data_ptr())
    kernel = function("near", (_N, _N, *[_P] * 6, _N, *[_P] * 3), _N)
    n_near = call("neighbours", kernel, n_edges, n_atoms, *arguments, *out)
    return torch.stack([centre[:n_near], neighbour[:n_near]]), vectors[:n_near]


def collect(
    edge_gradient: Tensor, edge_vectors: Tensor, edge_index: Tensor, graph_of_atom: Tensor, n_graphs: int
) -> tuple[Tensor, Tensor]:
    """Return forces (n_atoms, 3) and symmetric virials (n_graphs, 3, 3) from dE/dr_ij; float64, see `derivatives`."""
    arrays = [t.contiguous() for t in (edge_index, graph_of_atom, edge_vectors, edge_gradient)]
    n_edges, n_atoms = edge_index.shape[1], graph_of_atom.shape[0]
    expect(all(t.dtype == torch.int64 for t in arrays[:2]), "indices are not int64")
    expect(all(t.dtype == torch.float64 for t in arrays[2:]), "edge vectors or gradients are not float64")
    expect(all(t.shape == (n_edges, 3) for t in arrays[2:]), "edge vectors or gradients are not (n_edges, 3)")
    forces = torch.empty(n_atoms, 3, dtype=torch.float64)
    virial = torch.empty(n_graphs, 3, 3, dtype=torch.float64)
    start = arrays[0].data_ptr()
    pointers = (start, start + 8 * n_edges, *(t.data_ptr() for t in (*arrays[1:], forces, virial)))
    call("forces", function("collect", (*[_N] * 3, *[_P] * 7)), n_edges, n_atoms, n_graphs, *pointers)
    return forces, virial
