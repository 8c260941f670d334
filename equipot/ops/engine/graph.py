"""The sorted views of edges, by the compiled kernels."""

import ctypes

import torch
from torch import Tensor

from equipot.native.library import call, expect, function

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
